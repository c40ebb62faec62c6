package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Progress is a progress bar of bytes. It shows itself only on a terminal: a
// log file or a pipe gets nothing. Its methods may be called from several
// goroutines.
type Progress struct {
	out   io.Writer // nil when there is no terminal
	label string

	mu  sync.Mutex // guards bar, whose own methods are not atomic together
	bar *progressbar.ProgressBar
}

// NewProgress makes a bar on w (a command's error stream) for total bytes;
// total may be 0 when it is not known yet.
func NewProgress(w io.Writer, label string, total int64) *Progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &Progress{}
	}
	p := &Progress{out: f, label: label}
	p.Set(0, total)
	return p
}

// Set shows done of total bytes. Its shape is that of the callbacks of the
// transfers. A total that changes belongs to the next transfer, or to one that
// found more to do.
func (p *Progress) Set(done, total int64) {
	if p.out == nil || total <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil || p.bar.IsFinished() && done < total {
		p.bar = newBar(p.out, p.label, total)
	} else if total != p.bar.GetMax64() {
		p.bar.ChangeMax64(total)
	}
	// A bar that cannot be drawn is no reason to fail a transfer.
	_ = p.bar.Set64(min(done, total))
}

// Close removes the bar from the terminal.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

func newBar(w io.Writer, label string, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(Safe(label)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
}

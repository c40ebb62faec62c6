package sigstoretest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// patience is how long a server may take to answer. It bounds a hang; a start
// takes a second or two where the machine has nothing else to do.
const patience = 2 * time.Minute

// process is one running server. Its output goes to NAME.log in the directory.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed when it was waited for
}

// launcher starts processes that the kernel kills when ours ends, however it
// ends (PR_SET_PDEATHSIG). The kernel means the thread that started them, so one
// goroutine keeps a thread for this until the launcher is closed.
type launcher struct{ starts chan func() }

func newLauncher() *launcher {
	l := &launcher{make(chan func())}
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		for start := range l.starts {
			start()
		}
	}()
	return l
}

func (l *launcher) close() { close(l.starts) }

// start runs a program of the directory bin, in dir, without our environment.
func (l *launcher) start(bin, dir, program string, args ...string) (*process, error) {
	p := &process{name: program, log: filepath.Join(dir, program+".log"), ended: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	p.cmd = exec.Command(filepath.Join(bin, program), args...)
	p.cmd.Dir = dir
	p.cmd.Env = []string{"HOME=" + dir}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	l.starts <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	return p, nil
}

// ready waits until url answers 200.
func (p *process) ready(url string) error {
	deadline := time.After(patience)
	for {
		err := probe(url)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s\n%s", p.name, p.cmd.ProcessState, p.tail())
		case <-deadline:
			return fmt.Errorf("%s does not answer: %w\n%s", p.name, err, p.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func probe(url string) error {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// stop kills the server and waits until it is gone. What it stores is removed
// with the directory, so there is nothing for it to finish.
func (p *process) stop() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	<-p.ended
	return nil
}

// tailSize is how much of a log a failing test prints.
const tailSize = 4 << 10

// tail is the end of the server's log, under its name.
func (p *process) tail() string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailSize {
		_, _ = f.Seek(-tailSize, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(f, tailSize))
	return fmt.Sprintf("--- %s.log\n%s", p.name, text)
}

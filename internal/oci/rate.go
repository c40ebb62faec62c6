package oci

import (
	"context"
	"io"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

// rateReader ends a transfer that falls under a minimum rate (attack T8). It
// counts only the time spent waiting for the source, in windows: a slow disk
// on our side is not the source's fault, and a byte now and then does not keep
// a transfer alive.
type rateReader struct {
	body   io.Reader
	cancel context.CancelCauseFunc // ends the request that feeds body
	window time.Duration
	need   int64 // bytes per window

	waited time.Duration // in the current window
	got    int64         // in the current window
}

func (r *rateReader) Read(p []byte) (int, error) {
	patience := r.window - r.waited
	if r.got >= r.need {
		patience += r.window // this window is earned, the next one begins
	}
	alarm := time.AfterFunc(patience, func() { r.cancel(errTooSlow) })
	begin := time.Now() // a stopwatch, not the date
	n, err := r.body.Read(p)
	alarm.Stop()
	r.got += int64(n)
	r.waited += time.Since(begin)
	if r.waited < r.window {
		return n, err
	}
	if r.got < r.need && err == nil {
		r.cancel(errTooSlow)
		err = reason.New(reason.TooSlow, "%w of %d bytes in %s", errTooSlow, r.need, r.window)
	}
	r.waited, r.got = 0, 0
	return n, err
}

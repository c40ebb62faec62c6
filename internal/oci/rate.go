package oci

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

// watched bounds the rate of every body that is answered, whoever reads it:
// besides manifests and blobs also errors, lists, and the tokens of another
// server, which the deadline of a large object would leave hours.
type watched struct {
	next   http.RoundTripper
	limits Limits
}

func (w watched) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := w.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	rate := &rateReader{
		body: resp.Body, cancel: cancel,
		window: w.limits.RateWindow, need: w.limits.MinRate * int64(w.limits.RateWindow) / 1e9,
	}
	resp.Body = watchedBody{rate, resp.Body}
	return resp, nil
}

type watchedBody struct {
	*rateReader
	body io.Closer
}

func (b watchedBody) Close() error {
	err := b.body.Close()
	b.cancel(nil)
	return err
}

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
	// The alarm may have gone off at the end of the read before, which had its bytes.
	if late := !alarm.Stop(); err != nil && err != io.EOF && (late || errors.Is(err, errTooSlow)) {
		return n, r.tooSlow()
	}
	r.got += int64(n)
	r.waited += time.Since(begin)
	if r.waited < r.window {
		return n, err
	}
	if r.got < r.need && err == nil {
		r.cancel(errTooSlow)
		err = r.tooSlow()
	}
	r.waited, r.got = 0, 0
	return n, err
}

func (r *rateReader) tooSlow() error {
	return reason.New(reason.TooSlow, "%w of %d bytes in %s", errTooSlow, r.need, r.window)
}

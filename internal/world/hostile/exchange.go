package hostile

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// answer is what the good registry says.
func (x Exchange) answer() *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	req := x.Req.Clone(x.Req.Context())
	req.Header.Del("Range")
	x.Good.ServeHTTP(rec, req)
	return rec
}

// content answers with other content than the good registry's, whole, under the
// good registry's headers but for the length.
func (x Exchange) content(data []byte) {
	x.typed(x.answer().Header().Get("Content-Type"), data)
}

func (x Exchange) typed(mediaType string, data []byte) {
	x.W.Header().Set("Content-Type", mediaType)
	x.W.Header().Set("Content-Length", strconv.Itoa(len(data)))
	n, _ := x.W.Write(data)
	x.Front.wrote.Add(int64(n))
}

// raw takes the connection over; what is written to it counts.
func (x Exchange) raw(do func(c net.Conn)) {
	conn, _, err := http.NewResponseController(x.W).Hijack()
	if err != nil {
		x.W.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(x.patience()))
	do(counted{conn, x.Front})
}

func (x Exchange) patience() time.Duration {
	if x.Front.Patience > 0 {
		return x.Front.Patience
	}
	return time.Minute
}

type counted struct {
	net.Conn
	front *Front
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.front.wrote.Add(int64(n))
	return n, err
}

// hold waits until the client gives up, or counts it as stuck.
func (x Exchange) hold(c net.Conn) {
	_, err := bufio.NewReader(c).WriteTo(discard{})
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		x.Front.stuck.Add(1)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// drip writes text a byte at a time, then again from its beginning, until the
// client gives up.
func (x Exchange) drip(c net.Conn, text string, pause time.Duration) {
	end := time.Now().Add(x.patience())
	for n := 0; ; n++ {
		if _, err := c.Write([]byte{text[n%len(text)]}); err != nil {
			return
		}
		time.Sleep(pause)
		if time.Now().After(end) {
			x.Front.stuck.Add(1)
			return
		}
	}
}

// flood writes text again and again until the client gives up, or has taken far
// more than any limit and counts as stuck.
func (x Exchange) flood(c net.Conn, text []byte) {
	const far = 256 << 20
	for n := 0; n < far; n += len(text) {
		if _, err := c.Write(text); err != nil {
			return
		}
	}
	x.Front.stuck.Add(1)
}

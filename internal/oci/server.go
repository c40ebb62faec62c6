package oci

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"time"
)

// NewServer returns a server for h with the limits that a small public service
// needs: a header must arrive within ten seconds and in 64 KiB, an idle
// connection lives two minutes. Bodies have no deadline, a layer may take
// hours.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// statusWriter remembers what was answered and gives a manifest its ETag: the
// digest, which is what If-Match compares.
type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Status is the status sent, 200 when the handler left it to net/http.
func (w *statusWriter) Status() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		if d := w.Header().Get(headerDigest); d != "" {
			w.Header().Set("ETag", `"`+d+`"`)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom keeps sendfile(2) in use for blobs.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Unwrap serves http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// recorder holds back the answer to a write; those are short.
type recorder struct {
	header http.Header
	sent   http.Header // header at the time of the first WriteHeader, as net/http does it
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}} }

func (a *recorder) Header() http.Header { return a.header }

func (a *recorder) WriteHeader(status int) {
	if a.status == 0 {
		a.status, a.sent = status, a.header.Clone()
	}
}

func (a *recorder) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *recorder) copyTo(w http.ResponseWriter) {
	a.WriteHeader(http.StatusOK)
	maps.Copy(w.Header(), a.sent)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

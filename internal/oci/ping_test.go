package oci

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

// wire forwards connections until it is cut: it then forwards nothing more and
// closes nothing, as a network that loses everything.
type wire struct {
	net.Listener
	mu  sync.Mutex
	cut bool
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = near.Close() })
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				return
			}
			t.Cleanup(func() { _ = far.Close() })
			go w.forward(near, far)
			go w.forward(far, near)
		}
	}()
	return w
}

func (w *wire) forward(to io.Writer, from io.Reader) {
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		if !w.cut {
			_, _ = to.Write(buf[:n])
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// TestDeadConnectionIsFoundByPings: a connection over HTTP/2 whose other end is
// gone without a word is given up long before any limit of a request.
func TestDeadConnectionIsFoundByPings(t *testing.T) {
	blob := content(1<<20, 1)
	desc := describe(octets, blob)
	ended := make(chan struct{})
	defer close(ended)
	half := make(chan string, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "1048576")
		_, _ = w.Write(blob[:1<<10])
		_ = http.NewResponseController(w).Flush()
		half <- req.Proto
		<-ended
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	w := newWire(t, srv.Listener.Addr().String())
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{CAFile: ca, LoopbackTLS: true, Limits: Limits{PingTimeout: 3 * time.Second, RateWindow: time.Hour, RequestTimeout: time.Hour, HeaderTimeout: time.Hour}})
	r := repository(t, c, w.Addr().String()+"/acme/app")
	go func() {
		if proto := <-half; proto != "HTTP/2.0" {
			t.Errorf("spoken over %s", proto)
		}
		w.mu.Lock()
		w.cut = true
		w.mu.Unlock()
		_ = w.Close() // whoever tries again is told at once
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := r.BlobBytes(ctx, desc, desc.Size)
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || !reason.Is(err, reason.Unreachable) {
		t.Errorf("given up as %v, want unreachable", err)
	}
}

package hostile_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// peak samples the heap until stop is called, which returns how far it rose.
func peak() (stop func() uint64) {
	var highest atomic.Uint64
	before := heap()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-end:
				tick.Stop()
				return
			case <-tick.C:
				highest.Store(max(highest.Load(), heap()))
			}
		}
	}()
	return func() uint64 {
		close(end)
		<-ended
		return max(highest.Load(), before) - before
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAttackT7EndlessData: each kind of stream without an end is cut off, after
// few bytes and with little memory.
func TestAttackT7EndlessData(t *testing.T) {
	s := newScene(t)
	for _, tt := range []struct {
		name string
		on   hostile.Class
		in   string
		how  hostile.Behaviour
		want string
	}{
		{"metadata", hostile.Blob, "plant/deployments", hostile.EndlessBody, "too-large"},
		{"channel manifest", hostile.Manifest, "acme/releases", hostile.EndlessBody, "too-large"},
		{"bundle manifest", hostile.Manifest, "acme/hello", hostile.EndlessBody, "too-large"},
		{"blob", hostile.Blob, "acme/hello", hostile.EndlessBody, "too-large"},
		{"chunked blob", hostile.Blob, "acme/hello", hostile.EndlessChunks, "too-large"},
		{"chunked manifest", hostile.Manifest, "acme/releases", hostile.EndlessChunks, "too-large"},
		{"header of a tag", hostile.Tag, "acme/releases", hostile.EndlessHeader, "unreachable"},
		{"headers of a blob", hostile.Blob, "acme/hello", hostile.EndlessHeaders, "unreachable"},
		{"error", hostile.Blob, "acme/hello", hostile.EndlessError, "unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.T = t
			d := s.device.Again(t)
			stop := peak()
			s.suffer(t, hostile.Attack{On: tt.on, In: tt.in, How: tt.how}, named(tt.want), func() error { return fetch(d) })
			if rose := stop(); rose > fair {
				t.Errorf("the heap rose by %d bytes", rose)
			}
		})
	}
}

// TestAttackT7EndlessToken: what answers in the place of a token is bounded, too.
func TestAttackT7EndlessToken(t *testing.T) {
	s := newScene(t)
	ask := hostile.Asks(`Bearer realm="http://` + s.Host + `/token",service="x"`)
	how := func(x hostile.Exchange) {
		if x.Req.URL.Path == "/token" {
			hostile.EndlessToken(x)
			return
		}
		ask(x)
	}
	d := s.device.Again(t)
	stop := peak()
	s.suffer(t, hostile.Attack{On: hostile.Every | hostile.Other, How: how}, unreachable, func() error { return fetch(d) })
	if rose := stop(); rose > fair {
		t.Errorf("the heap rose by %d bytes", rose)
	}
}

// TestAttackT7ManyFiles: a channel of ten thousand files is not read.
func TestAttackT7ManyFiles(t *testing.T) {
	s := newScene(t)
	desc, data := crowded(10000)
	d := s.device.Again(t)
	s.suffer(t, hostile.Attack{On: hostile.Tag | hostile.Manifest, In: "acme/releases", How: hostile.Serves(desc.MediaType, string(desc.Digest), data)},
		named("too-large"), func() error { return fetch(d) })
	d.Limits = oci.Limits{}
	s.Must(fetch(d))
}

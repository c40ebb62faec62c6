package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
)

// Beside the process that works on a store, nothing of its work is taken away.
func TestLookTouchesNothing(t *testing.T) {
	s, data := newStore(t), []byte("content")
	if err := s.Put(t.Context(), describe(data), data); err != nil {
		t.Fatal(err)
	}
	unfinished := filepath.Join(s.blobs(), ".consign-0.tmp")
	for path, text := range map[string]string{unfinished: "being written", s.path(describe(data).Digest): "changed"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	looking := Look(s.dir)
	if _, err := looking.Bytes(describe(data), 100); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("changed content was read: %v", err)
	}
	for _, path := range []string{unfinished, s.path(describe(data).Digest)} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("looking took something away: %v", err)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	if u, err := Look(none).Usage(nil); err != nil || u != (Usage{}) {
		t.Errorf("a store that is not there uses %+v: %v", u, err)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("looking made a store")
	}
}

func TestUsage(t *testing.T) {
	s, kept, other := newStore(t), []byte("kept"), []byte("something else")
	for _, data := range [][]byte{kept, other} {
		if err := s.Put(t.Context(), describe(data), data); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.partial(digest.FromString("partial")), []byte("par"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := s.Usage(map[digest.Digest]bool{describe(kept).Digest: true, digest.FromString("absent"): true})
	if want := (Usage{Content: 18, Partial: 3, Needed: 4}); err != nil || u != want {
		t.Errorf("usage %+v, %v, want %+v", u, err, want)
	}
}

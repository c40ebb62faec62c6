package attacks

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
)

// fetched orders hello 1.1.0, lets the device fetch it and wait, takes the
// network away, and returns what came into its store.
func (s *site) fetched(t *testing.T) (documents, layers []string) {
	t.Helper()
	dir := filepath.Join(s.D.Config.StateDir, "store", "blobs", "sha256")
	had := map[string]bool{}
	for _, e := range s.stored(dir) {
		had[e.Name()] = true
	}
	s.Deploy(device, "1.1.0", map[string]string{"greeting": "fetched"})
	if _, err := s.D.SyncScope(agent.FetchOnly); err != nil {
		t.Fatal(err)
	}
	for _, e := range s.stored(dir) {
		info, err := e.Info()
		s.Must(err)
		switch path := filepath.Join(dir, e.Name()); {
		case info.Size() >= 1<<20:
			layers = append(layers, path)
		case !had[e.Name()]:
			documents = append(documents, path)
		}
	}
	if len(documents) < 8 || len(layers) == 0 {
		t.Fatalf("%d documents and %d layers came into the store", len(documents), len(layers))
	}
	s.StopRegistry()
	return documents, layers
}

func (s *site) stored(dir string) []fs.DirEntry {
	s.T.Helper()
	entries, err := os.ReadDir(dir)
	s.Must(err)
	return entries
}

// changed puts something else in a file's place while do runs.
func (s *site) changed(path string, put func(path string, genuine []byte) error, do func()) {
	s.T.Helper()
	genuine, err := os.ReadFile(path)
	s.Must(err)
	s.Must(os.Remove(path)) // it may be a link that other worlds share
	s.Must(put(path, genuine))
	do()
	s.Must(os.RemoveAll(path))
	s.Must(os.WriteFile(path, genuine, 0o600))
}

// noticed changes each document in turn between the fetch and the apply, and
// counts how often the device noticed. What it does not notice, it did not read:
// it gets no further than to wait, since every order waits for a person.
func (s *site) noticed(t *testing.T, documents []string, put func(path string, genuine []byte) error) int {
	t.Helper()
	s.D.Config.RequireApproval = true
	defer func() { s.D.Config.RequireApproval = false }()
	runs, journal, refused := s.D.Runs(), len(s.D.Journal()), 0
	for _, path := range documents {
		s.changed(path, put, func() {
			res, err := s.D.SyncScope(agent.ApplyOnly)
			switch {
			case reason.Is(err, reason.DigestMismatch), reason.Is(err, reason.Unreachable): // a link counts as nothing at all
				refused++
			case err != nil:
				t.Errorf("the device says %v, want %s", err, reason.DigestMismatch)
			case res.Changes[0].Action != agent.Waiting:
				t.Errorf("the device did %+v", res.Changes)
			}
		})
	}
	s.Untouched(t, runs, journal)
	if s.Refusals(reason.DigestMismatch) == 0 {
		t.Errorf("the log says nothing of it: %q", s.D.Events())
	}
	return refused
}

func zeros(path string, genuine []byte) error {
	return os.WriteFile(path, make([]byte, len(genuine)), 0o600)
}

func flipped(path string, genuine []byte) error {
	data := append([]byte(nil), genuine...)
	data[len(data)/2] ^= 1
	return os.WriteFile(path, data, 0o600)
}

// linked leaves the genuine bytes where somebody else can change them.
func linked(path string, genuine []byte) error {
	other := filepath.Join(filepath.Dir(filepath.Dir(path)), "elsewhere")
	return errors.Join(os.WriteFile(other, genuine, 0o600), os.Symlink(other, path))
}

// TestAttackD1SwappedBetweenSteps: documents are replaced after they were
// verified and fetched, and before they are used.
func TestAttackD1SwappedBetweenSteps(t *testing.T) {
	s := fresh(t)
	documents, _ := s.fetched(t)
	if n := s.noticed(t, documents, zeros); n < 7 {
		t.Errorf("only %d of %d swapped documents were noticed", n, len(documents))
	}
	s.StartRegistry()
	s.Recovers(t)
}

// TestAttackO8StoreTamperedWith: a bit in the content store is flipped, and
// content is replaced by a link to the same bytes.
func TestAttackO8StoreTamperedWith(t *testing.T) {
	for name, put := range map[string]func(string, []byte) error{"bit": flipped, "link": linked} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			documents, layers := s.fetched(t)
			if n := s.noticed(t, documents, put); n < 7 {
				t.Errorf("only %d of %d changed documents were noticed", n, len(documents))
			}
			s.Must(os.RemoveAll(filepath.Join(s.D.Engine, "content"))) // an engine that has nothing yet
			s.Must(os.MkdirAll(filepath.Join(s.D.Engine, "content"), 0o700))
			runs := s.D.Runs()
			for _, path := range layers {
				s.Now = s.Now.Add(6 * time.Hour) // past the wait after a failure
				s.changed(path, put, func() {
					if _, err := s.D.SyncScope(agent.ApplyOnly); err == nil {
						t.Errorf("with %s changed, the cycle ended well", filepath.Base(path))
					}
				})
				if now := s.D.Runs(); now[0] != runs[0] {
					t.Errorf("it changed what runs to %q", now)
				}
			}
			s.Now = s.Now.Add(6 * time.Hour)
			s.StartRegistry()
			s.Recovers(t)
		})
	}
}

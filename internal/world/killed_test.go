package world_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/testprograms"
)

// TestKilledCommit kills a publisher before its journal is written, before the
// tag moves, right after, and before it writes down that it is done (attack
// D11). The next command finds out which it was: what was journalled is in the
// channel afterwards, and a device follows all along.
func TestKilledCommit(t *testing.T) {
	dir, err := testprograms.Build("kills", "faults", "./cmd/publisher")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "publisher")
	s := newWriters(t, true)
	d := s.w.Device("watcher", noEngine)
	plant := s.w.Party("plant")
	var notes strings.Builder
	plant.Note = func(text string) { notes.WriteString(text) }
	for n, kill := range []struct{ point, note string }{
		{"tufclient.fetch:1", ""},
		{"durable.rename:1", ""},
		{"oci.manifest-put:1", "committed again"},
		{"channel.commit:1", "committed again"},
		{"channel.committed:1", "had committed"},
		{"tufclient.write:1", "had committed"},
	} {
		device := fmt.Sprintf("press-%d", n)
		s.kill(bin, kill.point, device)
		s.follow(d)
		notes.Reset()
		s.w.Must(s.refresh(plant))
		if got := notes.String(); !strings.Contains(got, kill.note) || kill.note == "" && got != "" {
			t.Errorf("%s: notes %q, want %q", kill.point, got, kill.note)
		}
		want := device
		if kill.note == "" {
			want = "-" + device
		}
		s.lists(plant, want)
		s.follow(d)
		notes.Reset()
		s.w.Must(s.add(plant, device)())
		if notes.Len() > 0 {
			t.Errorf("%s: told again: %q", kill.point, notes.String())
		}
	}
}

// kill runs 'publisher device add' with a fault.
func (s *writers) kill(bin, point, device string) {
	s.Helper()
	passphrase := filepath.Join(s.w.Dir, "passphrase")
	s.w.Must(os.WriteFile(passphrase, []byte("test\n"), 0o600))
	cmd := exec.Command(bin, "device", "add", device, "--channel", s.w.Deployments, "--log-key", s.logKey(device),
		"--keys", filepath.Join(s.w.Dir, "plant"), "--passphrase-file", passphrase, "--docker-config", filepath.Join(s.w.Dir, "docker.json"))
	cmd.Env = append(os.Environ(), "CONSIGN_FAULT="+point)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		s.Fatalf("%s: the publisher was not killed: %v: %s", point, err, out)
	}
}

package cells

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
)

// documents are the files of the device's store that are no layer of an image: the
// chart and its render among them.
func (s *scene) documents() []string {
	s.T.Helper()
	found, err := filepath.Glob(filepath.Join(s.d.Config.StateDir, "store", "blobs", "sha256", "*"))
	s.Must(err)
	return slices.DeleteFunc(found, func(path string) bool {
		info, err := os.Stat(path)
		s.Must(err)
		return info.Size() >= 1<<20
	})
}

const genuineGreeting, foreignGreeting = "as the plant signed", "as an enemy wrote ."

// foreign is a document with another greeting in it or, if it has none, zeros.
func foreign(genuine []byte) []byte {
	if bytes.Contains(genuine, []byte(genuineGreeting)) {
		return bytes.ReplaceAll(genuine, []byte(genuineGreeting), []byte(foreignGreeting))
	}
	return make([]byte, len(genuine))
}

// swapped has something else in a file while do runs.
func (s *scene) swapped(path string, do func()) {
	s.T.Helper()
	genuine, err := os.ReadFile(path)
	s.Must(err)
	s.Must(os.WriteFile(path, foreign(genuine), 0o600))
	do()
	s.Must(os.WriteFile(path, genuine, 0o600))
}

// TestAttackD1SwappedBeforeHelmApplies: between verdict and apply, the chart, the
// render and every other document is replaced on the disk, and replaced again before
// what runs is corrected. Nothing foreign reaches the cluster.
func TestAttackD1SwappedBeforeHelmApplies(t *testing.T) {
	s := newScene(t)
	s.Publish("acme", "1.0.0", nil)
	s.order("1.0.0", genuineGreeting)
	_, err := s.d.SyncScope(agent.FetchOnly)
	s.Must(err)
	s.StopRegistry()
	s.d.Config.RequireApproval = true // it waits at the last moment before the change
	noticed := 0
	for _, path := range s.documents() {
		s.swapped(path, func() {
			_, err := s.d.SyncScope(agent.ApplyOnly)
			if reason.Is(err, reason.DigestMismatch) || reason.Is(err, reason.Unreachable) {
				noticed++
			} else if err != nil {
				t.Errorf("%s: %v, want %s", filepath.Base(path), err, reason.DigestMismatch)
			}
		})
	}
	if noticed < 8 {
		t.Errorf("only %d swapped documents were noticed", noticed)
	}
	if there := s.objects(); len(there) > 0 {
		t.Errorf("%q are in the cluster", there)
	}
	s.StartRegistry()
	s.d.Config.RequireApproval = false
	s.sync(agent.Installed)
	s.greets(genuineGreeting)

	s.StopRegistry()
	s.kubectl("delete", "deployments,configmaps", "--namespace", s.namespace(), s.own(), "--wait=true", "--timeout=1m")
	s.swapped(s.render(), func() {
		if _, err := s.d.Watch(); !reason.Is(err, reason.DigestMismatch) {
			t.Errorf("a look with the render swapped says %v, want %s", err, reason.DigestMismatch)
		}
	})
	if got := s.ask("deployments,configmaps", "{.items[*].metadata.name}"); got != "" {
		t.Errorf("with the render swapped, %q came into the cluster", got)
	}
	res, err := s.d.Watch()
	s.Must(err)
	if len(res.Changes) != 1 || res.Changes[0].Action != agent.Corrected {
		t.Errorf("with the genuine render, the look led to %+v", res.Changes)
	}
	s.greets(genuineGreeting)
}

// render is the file of what is to be in the cluster.
func (s *scene) render() string {
	s.T.Helper()
	for _, path := range s.documents() {
		data, err := os.ReadFile(path)
		s.Must(err)
		if bytes.Contains(data, []byte(genuineGreeting)) && bytes.Contains(data, []byte(`"ConfigMap"`)) {
			return path
		}
	}
	s.T.Fatal("the store has no render")
	return ""
}

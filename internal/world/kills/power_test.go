package kills

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/world"
)

// A power cut differs from a kill by what was written and not synced: any part
// of it may be lost. The rules of internal/durable leave little to lose. A file
// that was replaced is the old or the new one, as after a kill right before or
// right after the rename, and each rename is on the disk before the next is
// made. What remains are the last append to the journal, a download that was not
// finished, and temporary files, which nobody reads.

// TestSyncPowerCut cuts the power there, and lets any part be lost.
func TestSyncPowerCut(t *testing.T) {
	s := newScene(t)
	dev := s.upgrading()
	random := s.random()
	for _, step := range s.unsynced(dev.sync) {
		for range rounds(1, 10) {
			s.try(func(tr *trial) {
				if end := tr.run(dev.sync, "CONSIGN_FAULT="+step); !end.killed() {
					tr.Fatalf("%s: exit %d: %s", step, end.code, end.text)
				}
				lost := ""
				if strings.HasPrefix(step, "durable.sync") {
					lost = tr.loseAppend(random)
				} else {
					lost = tr.loseDownload(random)
				}
				dev.recovers(tr, step+", "+lost)
			})
			if s.Failed() {
				s.Fatalf("at %s", step)
			}
		}
	}
}

// unsynced are the steps before which something has been written that is not
// synced: the syncs of the journal and the ends of downloads.
func (s *scene) unsynced(c command) []string {
	s.Helper()
	var out []string
	passed, last := map[string]int{}, ""
	for _, p := range s.passages(c) {
		passed[p]++
		if p == "durable.sync" && last == "durable.append" || p == "store.commit" {
			out = append(out, fmt.Sprintf("%s:%d:kill", p, passed[p]))
		}
		last = p
	}
	if passed["store.commit"] == 0 || len(out) == passed["store.commit"] {
		s.Fatalf("the cycle passed %v", passed)
	}
	return out
}

// loseAppend loses a part of the last record of the journal.
func (tr *trial) loseAppend(random *rand.Rand) string {
	tr.Helper()
	file := tr.path("state/log/journal")
	data, err := os.ReadFile(file)
	tr.w.Must(err)
	records, _, err := durable.ParseJournal(data, len(data))
	tr.w.Must(err)
	frame := 12 + len(records[len(records)-1])
	n := 1 + random.IntN(frame)
	what := fmt.Sprintf("without the last %d bytes of the journal", n)
	if random.IntN(4) == 0 {
		clear(data[len(data)-frame:])
		what = "with zeros in the place of the last record of the journal"
	} else {
		data = data[:len(data)-n]
	}
	tr.w.Must(os.WriteFile(file, data, 0o600))
	return what
}

// loseDownload loses a part of each unfinished download.
func (tr *trial) loseDownload(random *rand.Rand) string {
	tr.Helper()
	files, err := filepath.Glob(tr.path("state/store/ingest/*"))
	tr.w.Must(err)
	if len(files) == 0 {
		tr.Fatal("no download is unfinished")
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		tr.w.Must(err)
		at := random.IntN(len(data) + 1)
		if random.IntN(2) == 0 {
			clear(data[at:])
		} else {
			data = data[:at]
		}
		tr.w.Must(os.WriteFile(f, data, 0o600))
	}
	return "with parts of downloads lost"
}

// TestCrashTests runs the tests of packages that need stopping points in the
// test itself: those that kill the writers of files and log at every step.
func TestCrashTests(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "test", "-tags", "faults", "-run", "^TestKilledAtEveryPoint$", "-v", "./internal/durable", "./internal/audit")
	cmd.Dir = world.Root()
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: TestKilledAtEveryPoint ") != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

package world

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consign-dev/consign/internal/testprograms"
)

// Recorded is a device whose applier only records (internal/world/recorder).
type Recorded struct {
	*Device
	// Engine is the directory that stands for the engine.
	Engine string
}

// Recorded makes a device without an engine. Everything else is real, renders
// and pulls from the agent's loopback registry included.
func (w *World) Recorded(id string) *Recorded {
	w.T.Helper()
	dir := filepath.Join(w.Dir, "engine-"+id)
	d := w.Device(id, "unix://"+dir)
	d.Programs = Recorder(w.T)
	return &Recorded{d, dir}
}

// Recorder is the directory with the recording applier as "applier-compose",
// built once.
func Recorder(t testing.TB) string {
	t.Helper()
	return built(t, recorder)
}

var recorder = sync.OnceValues(func() (string, error) {
	return testprograms.Build("recorder", "", "./internal/world/recorder=applier-compose")
})

// Journal is what the applier wrote down, in order: "apply PROJECT DIGEST",
// "pull DIGEST", "run PROJECT DIGEST", "stop PROJECT".
func (r *Recorded) Journal() []string {
	r.w.T.Helper()
	data, err := os.ReadFile(filepath.Join(r.Engine, "journal"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r.w.Must(err)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// Runs is what runs: one text for each project, with all that is known of it.
// Two equal answers mean that nothing was touched.
func (r *Recorded) Runs() []string {
	r.w.T.Helper()
	files, err := filepath.Glob(filepath.Join(r.Engine, "projects", "*"))
	r.w.Must(err)
	out := []string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		r.w.Must(err)
		out = append(out, filepath.Base(f)+" "+string(data))
	}
	slices.Sort(out)
	return out
}

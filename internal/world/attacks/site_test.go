package attacks

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) {
	audit.SetTesseraLogger(slog.New(slog.DiscardHandler))
	if spec := os.Getenv(limitedVariable); spec != "" {
		if err := runLimited(spec); err != nil {
			fmt.Fprintln(os.Stderr, "limited cycle:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(world.Main(m))
}

// The device of every site, and its neighbour, which runs nothing yet.
const (
	device    = "press-07"
	neighbour = "press-08"
)

// site is a world with a device that runs hello 1.0.0. Version 1.1.0 is released
// and not ordered.
type site struct {
	*world.Victim
	neighbour *world.Recorded
}

var (
	once     sync.Once
	template *world.Template
)

// fresh is a site of a test's own. One is in use at a time.
func fresh(t *testing.T) *site {
	t.Helper()
	once.Do(func() { template = world.NewTemplate(t, begin) })
	if template == nil {
		t.Fatal("the world that all tests begin with could not be made")
	}
	w, devices := template.World(t)
	return &site{&world.Victim{World: w, D: devices[0]}, devices[1]}
}

func begin(w *world.World) []*world.Recorded {
	d, n := w.Recorded(device), w.Recorded(neighbour)
	w.Publish("acme", "1.0.0", nil)
	w.Deploy(device, "1.0.0", map[string]string{"greeting": "first", "port": "8080"})
	_, err := d.Sync()
	w.Must(err)
	w.Publish("acme", "1.1.0", nil)
	return []*world.Recorded{d, n}
}

func nothing() {}

// with is a copy of files with some of them replaced.
func with(files map[string][]byte, changed map[string][]byte) map[string][]byte {
	out := maps.Clone(files)
	maps.Copy(out, changed)
	return out
}

// replaced is a text with one replacement, which must be possible.
func replaced(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q does not contain %q", text, old)
	}
	return strings.Replace(text, old, new, 1)
}

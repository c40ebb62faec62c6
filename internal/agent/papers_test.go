package agent

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/store"
)

// TestPapersAreBounded: a length that the state claims is looked at before a file
// is, whatever lies there.
func TestPapersAreBounded(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, d := &Agent{store: s}, digest.FromString("x")
	for name, read := range map[string]func(more int64) error{
		"order": func(more int64) error {
			_, err := a.lastOrder(t.Context(), nil, Installation{Order: d, OrderSize: bundle.MaxDocumentBytes + more})
			return err
		},
		"render": func(more int64) error {
			_, err := a.appliedRender(t.Context(), InstalledComponent{Render: d, Size: task.MaxRender + more})
			return err
		},
	} {
		if err := read(1); !reason.Is(err, reason.TooLarge) {
			t.Errorf("%s over its bound: %v", name, err)
		}
		if err := read(0); !reason.Is(err, reason.Unreachable) {
			t.Errorf("%s at its bound, and not there: %v", name, err)
		}
	}
}

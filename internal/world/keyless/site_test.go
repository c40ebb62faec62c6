package keyless

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/world"
)

// site is a world with a device that runs hello 1.0.0. Version 1.1.0 was released
// by the pipeline that the operator trusts, too, and is not ordered.
type site struct {
	*world.Victim
	s *sigstoretest.Stack
}

var (
	once     sync.Once
	template *world.Template
)

// fresh is a site of a test's own. One is in use at a time.
func fresh(t *testing.T) *site {
	t.Helper()
	s := sigstoretest.Shared(t)
	once.Do(func() {
		template = world.NewTemplate(t, func(w *world.World) []*world.Recorded {
			d := w.Recorded("press-07")
			w.Signers, w.TrustedRoot, w.Keyless = signers(s), s.TrustedRoot, as(t, s, tag("1.0.0"))
			w.SetPolicy("")
			w.Publish("acme", "1.0.0", nil)
			w.Deploy(d.ID, "1.0.0", nil)
			_, err := d.Sync()
			w.Must(err)
			w.Keyless = as(t, s, tag("1.1.0"))
			w.Publish("acme", "1.1.0", nil)
			return []*world.Recorded{d}
		})
	})
	if template == nil {
		t.Fatal("the world that all tests begin with could not be made")
	}
	w, devices := template.World(t)
	w.Signers, w.TrustedRoot = signers(s), s.TrustedRoot
	return &site{&world.Victim{World: w, D: devices[0]}, s}
}

// edited is a signature bundle that edit has changed.
func (s *site) edited(data []byte, edit func(bundle, material map[string]any)) []byte {
	s.T.Helper()
	var doc map[string]any
	s.Must(json.Unmarshal(data, &doc))
	edit(doc, doc["verificationMaterial"].(map[string]any))
	out, err := json.Marshal(doc)
	s.Must(err)
	return out
}

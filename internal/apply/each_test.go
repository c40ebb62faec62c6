package apply

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
)

// A component whose engine the configuration no longer names is left as it is, and
// the message says what to set.
func TestApplierOfEachType(t *testing.T) {
	both := Each{Compose: &Compose{}, Chart: &Chart{}}
	for profile, want := range map[string]Applier{"": both.Compose, bundle.Compose: both.Compose, bundle.Helm: both.Chart} {
		if got, err := both.of(profile); err != nil || got != want {
			t.Errorf("type %q: %T, %v", profile, got, err)
		}
	}
	for profile, setting := range map[string]string{"": "set engine", bundle.Helm: "set kubeconfig"} {
		_, err := Each{}.Remove(t.Context(), "d", Part{Type: profile}, false)
		if !reason.Is(err, reason.Unreachable) || !strings.Contains(err.Error(), setting) || !Untouched(err) {
			t.Errorf("type %q: %v", profile, err)
		}
		if _, err := (Each{}).Observe(t.Context(), Observe{Part: Part{Type: profile}}); !reason.Is(err, reason.Unreachable) {
			t.Errorf("type %q: %v", profile, err)
		}
	}
}

// One name in two engines is two things.
func TestPartsOfTwoEngines(t *testing.T) {
	container, chart := Part{Project: "c0-web"}, Part{Project: "c0-web", Type: bundle.Helm}
	if container.Same(chart) || !chart.Same(Part{Project: "c0-web", Type: bundle.Helm, PodSecurity: "restricted"}) {
		t.Error("parts are told apart by something else than engine and name")
	}
}

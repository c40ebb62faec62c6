package kubernetes_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/agent/doctor"
	"github.com/consign-dev/consign/internal/kubetest"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// TestDoctorOnKubernetes: a device without a Docker engine is asked for its cluster
// and for nothing of Docker's.
func TestDoctorOnKubernetes(t *testing.T) {
	cfg := agent.DefaultConfig()
	cfg.StateDir, cfg.Engine, cfg.Kubeconfig = t.TempDir(), "", kubetest.Kubeconfig(t)
	clusterOf := func(cfg agent.Config) doctor.Finding {
		var found doctor.Finding
		for _, f := range agent.Examine(t.Context(), cfg, agent.Options{ApplierDir: world.Programs(t)}, time.Now).Findings {
			switch f.Check {
			case doctor.CheckEngine:
				t.Errorf("a finding about an engine: %+v", f)
			case doctor.CheckCluster:
				found = f
			}
		}
		return found
	}
	if f := clusterOf(cfg); f.Status != doctor.OK || f.Subject != cfg.Kubeconfig || f.Figures["nodes"] != 1 {
		t.Errorf("finding %+v", f)
	}
	cfg.Kubeconfig = filepath.Join(t.TempDir(), "absent")
	if f := clusterOf(cfg); f.Status != doctor.Fail || f.Reason != reason.Unreachable || f.Next == "" {
		t.Errorf("finding %+v", f)
	}
}

package cells

import (
	"context"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/kubetest"
)

// TestPodComesBackBetweenCycles: a node that has lost both a pod and its image gets
// them back from the agent's registry, by digest, while no cycle runs.
func TestPodComesBackBetweenCycles(t *testing.T) {
	s := newScene(t)
	s.d.Config.PollInterval, s.d.Config.ObserveInterval = "24h", "24h"
	s.Publish("acme", "7.0.0", nil)
	s.order("7.0.0", "still here")
	ctx, stop := context.WithCancel(t.Context())
	cycles, ended := make(chan *agent.Result, 10), make(chan error, 1)
	go func() {
		ended <- s.d.Run(ctx, func(r *agent.Result, err error) {
			if err != nil {
				t.Error(err)
			}
			cycles <- r
		})
	}()
	defer func() { stop(); s.Must(<-ended) }()
	select {
	case r := <-cycles:
		if len(r.Changes) != 1 || r.Changes[0].Action != agent.Installed {
			t.Fatalf("the first cycle did %+v", r.Changes)
		}
	case err := <-ended:
		ended <- err
		t.Fatalf("the agent ended: %v", err)
	}

	image := s.ask("pods", "{.items[0].spec.containers[0].image}")
	name, digest, pinned := strings.Cut(image, "@")
	if !pinned || !strings.HasPrefix(name, s.d.Config.RegistryAddress+"/") {
		t.Fatalf("the pod's image is %q, want one of %s with its digest", image, s.d.Config.RegistryAddress)
	}
	lost := s.ask("pods", "{.items[0].metadata.name}")
	kubetest.RemoveImage(t, digest)
	s.kubectl("delete", "pod", lost, "--namespace", s.namespace(), "--wait=false", "--grace-period=1")
	s.eventually("another pod is ready", func() bool {
		ready := s.ask("pods", `{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`)
		return strings.Contains(ready, "=True") && !strings.Contains(ready, lost)
	})
	if again := s.ask("pods", "{.items[0].spec.containers[0].image}"); again != image {
		t.Errorf("the new pod's image is %q, the lost one's was %q", again, image)
	}
	pod := s.ask("pods", "{.items[0].metadata.name}")
	s.eventually("the image was pulled for the new pod", func() bool {
		said := s.kubectl("get", "events", "--namespace", s.namespace(), "--field-selector=reason=Pulled,involvedObject.name="+pod, "--output=jsonpath={.items[*].message}")
		return strings.Contains(said, "Successfully pulled image "+quoted(image))
	})
	if n := len(cycles); n > 0 {
		t.Errorf("%d cycles ran meanwhile", n)
	}
}

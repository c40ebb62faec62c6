package verify

import (
	"slices"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// Live is what runs of a component: containers of an engine, or objects of a
// cluster.
type Live struct {
	Services []task.Service
	Objects  []task.LiveObject
}

// CheckLive decides whether what runs of a component stays within grants (reason
// grant). Of a chart it runs no image that its render does not name
// (image-unpinned); the containers of a Compose project are compared with their
// project where they are. profile is the component's type, "" as good as
// [bundle.Compose], and project its name there.
func CheckLive(g policy.Grants, profile, project string, render []byte, seen Live) error {
	if profile != bundle.Helm {
		return g.CheckLive(project, seen.Services)
	}
	if err := g.CheckKubernetesLive(render, seen.Objects); err != nil {
		return err
	}
	allowed, err := g.KubernetesImages(render)
	if err != nil {
		return err
	}
	running, err := g.KubernetesLiveImages(seen.Objects)
	if err != nil {
		return err
	}
	for _, image := range running {
		if !slices.Contains(allowed, image) {
			return reason.New(reason.ImageUnpinned, "what runs names the image %q, which its render does not", image)
		}
	}
	return nil
}

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

// BesideOnly reports whether all that exceeds grants stands beside the render of a
// chart: the rest of what runs stays within them. An apply of the render takes the
// former away. Of a Compose project nobody can tell: two containers of one service
// look alike.
func BesideOnly(g policy.Grants, profile, project string, render []byte, seen Live) bool {
	if profile != bundle.Helm {
		return false
	}
	rest, err := g.KubernetesRendered(render, seen.Objects)
	return err == nil && CheckLive(g, profile, project, render, Live{Objects: rest}) == nil
}

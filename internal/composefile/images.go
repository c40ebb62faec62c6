package composefile

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
)

// Images lists the image references that a project names, as compose.yaml
// spells them, sorted, each once.
func Images(p *types.Project) []string {
	found := map[string]bool{}
	for _, s := range p.Services {
		found[s.Image] = true
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeImage {
				found[v.Source] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// ReplaceImages puts the pinned reference in the place of every image
// reference of the project and tells the engine never to pull one by itself.
// A reference that pinned does not have is refused (image-unpinned).
func ReplaceImages(p *types.Project, pinned map[string]string) error {
	for _, ref := range Images(p) {
		if pinned[ref] == "" {
			return reason.New(reason.ImageUnpinned, "%s: image %q is not in the bundle", ComposeFile, ref)
		}
	}
	for name, s := range p.Services {
		s.Image = pinned[s.Image]
		s.PullPolicy = types.PullPolicyNever
		s.PullRefreshAfter = ""
		for i, v := range s.Volumes {
			if v.Type == types.VolumeTypeImage {
				s.Volumes[i].Source = pinned[v.Source]
			}
		}
		p.Services[name] = s
	}
	return nil
}

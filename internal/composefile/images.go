package composefile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/bundle"
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
// The keys of pinned may be spelled as compose.yaml does or in full: both
// sides are compared as a bundle writes them. A reference that pinned does not
// have is refused (image-unpinned).
func ReplaceImages(p *types.Project, pinned map[string]string) error {
	replacement, err := replacements(Images(p), pinned)
	if err != nil {
		return err
	}
	for name, s := range p.Services {
		s.Image = replacement[s.Image]
		s.PullPolicy = types.PullPolicyNever
		s.PullRefreshAfter = ""
		for i, v := range s.Volumes {
			if v.Type == types.VolumeTypeImage {
				s.Volumes[i].Source = replacement[v.Source]
			}
		}
		p.Services[name] = s
	}
	return nil
}

// replacements maps the references of a project to pinned ones.
func replacements(used []string, pinned map[string]string) (map[string]string, error) {
	byName := map[string]string{}
	for ref, pin := range pinned {
		normal, err := bundle.NormalizeReference(ref)
		if err != nil {
			return nil, err
		}
		if other, ok := byName[normal]; ok && other != pin {
			return nil, reason.New(reason.Malformed, "images: %q is pinned to both %s and %s", normal, other, pin)
		}
		byName[normal] = pin
	}
	out := map[string]string{}
	for _, ref := range used {
		normal, err := bundle.NormalizeReference(ref)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ComposeFile, err)
		}
		if out[ref] = byName[normal]; out[ref] == "" {
			return nil, reason.New(reason.ImageUnpinned, "%s: image %q is not in the bundle", ComposeFile, ref)
		}
	}
	return out, nil
}

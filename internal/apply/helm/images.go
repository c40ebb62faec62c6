package helm

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// imageField matches the path of a field of a custom kind: names with dots,
// and [] for each element of a list.
var imageField = lazyregexp.New(`^[A-Za-z0-9_-]+(\[\])*(\.[A-Za-z0-9_-]+(\[\])*)*$`)

// reference is a place in an object that names an image.
type reference struct {
	place  string
	holder map[string]any
	key    string
}

// references lists the places where an object names images: those of known
// kinds, and those of custom kinds that a grant names.
func (o *object) references(fields []task.ImageField) ([]reference, error) {
	containers, err := o.containers()
	if err != nil {
		return nil, err
	}
	var list []reference
	for _, c := range containers {
		list = append(list, reference{c.place + ".image", c.raw, "image"})
	}
	volumes, err := o.imageVolumes()
	if err != nil {
		return nil, err
	}
	list = append(list, volumes...)
	for _, f := range fields {
		if f.Group == o.group && f.Kind == o.kind {
			custom, err := o.follow(o.raw, "", strings.Split(f.Path, "."))
			if err != nil {
				return nil, err
			}
			list = append(list, custom...)
		}
	}
	return list, nil
}

func (o *object) imageVolumes() ([]reference, error) {
	spec, at, err := o.podSpec()
	if err != nil || spec == nil {
		return nil, err
	}
	volumes, err := o.list(spec, at, "volumes")
	if err != nil {
		return nil, err
	}
	var list []reference
	for i, v := range volumes {
		if v["image"] == nil {
			continue
		}
		place := fmt.Sprintf("%s.volumes[%d].image", at, i)
		image, ok := v["image"].(map[string]any)
		if !ok {
			return nil, o.refuse(place, "not a mapping")
		}
		list = append(list, reference{place + ".reference", image, "reference"})
	}
	return list, nil
}

// follow walks the path of an ImageField. What is not there has no image.
func (o *object) follow(v any, at string, path []string) ([]reference, error) {
	name, lists := strings.CutSuffix(path[0], "[]")
	holder, ok := v.(map[string]any)
	if !ok {
		return nil, o.refuse(at, "not a mapping, and imageFields goes on to %s", path[0])
	}
	at = strings.TrimPrefix(at+"."+name, ".")
	switch {
	case holder[name] == nil:
		return nil, nil
	case !lists && len(path) == 1:
		return []reference{{at, holder, name}}, nil
	case !lists:
		return o.follow(holder[name], at, path[1:])
	}
	items, ok := holder[name].([]any)
	if !ok {
		return nil, o.refuse(at, "not a list, and imageFields says %s", path[0])
	}
	var list []reference
	for i, item := range items {
		place := fmt.Sprintf("%s[%d]", at, i)
		if len(path) == 1 {
			return nil, o.refuse(place, "imageFields must name a field of each element")
		}
		below, err := o.follow(item, place, path[1:])
		if err != nil {
			return nil, err
		}
		list = append(list, below...)
	}
	return list, nil
}

func checkImageFields(fields []task.ImageField) error {
	for _, f := range fields {
		if !imageField.MatchString(f.Path) || strings.Contains(f.Path, "[][]") || strings.HasSuffix(f.Path, "[]") || !kindName.MatchString(f.Kind) {
			return reason.New(reason.Malformed, "imageFields: %.100q of %.63q: not a kind and a path such as spec.nodes[].image", f.Path, f.Kind)
		}
	}
	return nil
}

// imageName returns the reference in normal form.
func (o *object) imageName(r reference) (string, error) {
	ref, ok := r.holder[r.key].(string)
	if !ok || ref == "" {
		return "", o.refuseAs(reason.ImageUnpinned, r.place, "names no image")
	}
	normal, err := bundle.NormalizeReference(ref)
	if err != nil {
		return "", o.refuseAs(reason.ImageUnpinned, r.place, "%.300v", err)
	}
	return normal, nil
}

// pinned is a reference by digest, as in internal/apply/compose.
var pinned = lazyregexp.New(`^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._/-]+)+@sha256:[0-9a-f]{64}$`)

// pins are the references of a bundle in normal form, with what replaces them.
type pins struct {
	by    map[string]string
	tails map[string]bool // what follows the last slash of each
	used  map[string]bool
}

func newPins(images map[string]string) (*pins, error) {
	p := &pins{by: map[string]string{}, tails: map[string]bool{}, used: map[string]bool{}}
	for ref, pin := range images {
		if !pinned.MatchString(pin) {
			return nil, reason.New(reason.ImageUnpinned, "images: %q for %q is not a reference by digest", pin, ref)
		}
		normal, err := bundle.NormalizeReference(ref)
		if err != nil {
			return nil, err
		}
		if other, ok := p.by[normal]; ok && other != pin {
			return nil, reason.New(reason.Malformed, "images: %q is pinned to both %s and %s", normal, other, pin)
		}
		p.by[normal] = pin
		p.tails[path.Base(normal)] = true
	}
	return p, nil
}

// replace puts references by digest in the place of all images of an object.
func (p *pins) replace(o *object, fields []task.ImageField) error {
	refs, err := o.references(fields)
	if err != nil {
		return err
	}
	for _, r := range refs {
		normal, err := o.imageName(r)
		if err != nil {
			return err
		}
		pin, ok := p.by[normal]
		if !ok {
			return o.refuseAs(reason.ImageUnpinned, r.place, "image %q is not in the bundle", r.holder[r.key])
		}
		p.used[pin] = true
		r.holder[r.key] = pin
	}
	p.everywhere(o.raw)
	return o.pullIfAbsent()
}

// everywhere replaces texts that are a reference of the bundle wherever they
// are: an operator is told in a variable or a flag what it shall run. Without a
// tag or digest a text is a word like any other.
func (p *pins) everywhere(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if text, ok := child.(string); ok {
				v[key] = p.text(text)
			} else {
				p.everywhere(child)
			}
		}
	case []any:
		for i, child := range v {
			if text, ok := child.(string); ok {
				v[i] = p.text(text)
			} else {
				p.everywhere(child)
			}
		}
	}
}

func (p *pins) text(text string) string {
	flag, ref := "", text
	if strings.HasPrefix(text, "-") {
		if before, after, ok := strings.Cut(text, "="); ok {
			flag, ref = before+"=", after
		}
	}
	if len(ref) > 512 || !p.tails[path.Base(ref)] {
		return text
	}
	normal, err := bundle.NormalizeReference(ref)
	if err != nil || p.by[normal] == "" {
		return text
	}
	p.used[p.by[normal]] = true
	return flag + p.by[normal]
}

// pullIfAbsent keeps a node from asking a registry for what it has.
func (o *object) pullIfAbsent() error {
	containers, err := o.containers()
	if err != nil {
		return err
	}
	for _, c := range containers {
		c.raw["imagePullPolicy"] = "IfNotPresent"
	}
	volumes, err := o.imageVolumes()
	for _, v := range volumes {
		v.holder["pullPolicy"] = "IfNotPresent"
	}
	return err
}

// Images lists the images that a chart names with given values, for whoever
// packs it: those that a render with the same input would look for in a bundle.
// It renders twice as well, so that a chart which no device could render the same
// way again is refused before anybody signs it.
func Images(_ context.Context, in task.ChartImagesInput) (task.ChartImagesResult, error) {
	if err := checkImages(in); err != nil {
		return task.ChartImagesResult{}, err
	}
	s, err := open(in)
	if err != nil {
		return task.ChartImagesResult{}, err
	}
	list, _, _, err := s.twice()
	if err != nil {
		return task.ChartImagesResult{}, err
	}
	found := map[string]bool{}
	for _, o := range list {
		refs, err := o.references(in.ImageFields)
		if err != nil {
			return task.ChartImagesResult{}, err
		}
		for _, r := range refs {
			normal, err := o.imageName(r)
			if err != nil {
				return task.ChartImagesResult{}, err
			}
			found[normal] = true
		}
	}
	return task.ChartImagesResult{Chart: s.id(), Images: slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(found))))}, nil
}

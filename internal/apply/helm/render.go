package helm

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

var (
	releaseName = lazyregexp.New(`^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$`)
	dnsLabel    = lazyregexp.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// Render makes the exact objects of a chart: resolved, with every image by
// digest, our labels on everything and a limit on every container, as JSON. The
// same input gives the same bytes, but for what the chart makes anew each time
// and the render before does not have.
func Render(_ context.Context, in task.ChartInput) (task.ChartResult, error) {
	marks := marks{in.Labels, in.Annotations}
	if err := checkRender(in, marks); err != nil {
		return task.ChartResult{}, err
	}
	pins, err := newPins(in.Images)
	if err != nil {
		return task.ChartResult{}, err
	}
	before, err := parsePrevious(in)
	if err != nil {
		return task.ChartResult{}, err
	}
	images, err := withSecretObjects(in)
	if err != nil {
		return task.ChartResult{}, err
	}
	s, err := open(images)
	if err != nil {
		return task.ChartResult{}, err
	}
	list, tests, varying, err := s.twice()
	if err != nil {
		return task.ChartResult{}, err
	}
	kept := before.carry(varying, list, in.Namespace)
	r := finishing{in: in, pins: pins, marks: marks}
	if err := r.all(list); err != nil {
		return task.ChartResult{}, err
	}
	return r.result(s, list, tests, kept)
}

func imagesInput(in task.ChartInput) task.ChartImagesInput {
	return task.ChartImagesInput{
		Chart: in.Chart, Release: in.Release, Namespace: in.Namespace, Values: in.Values,
		ImageFields: in.ImageFields, Capabilities: in.Capabilities,
	}
}

func checkRender(in task.ChartInput, m marks) error {
	if err := m.check(); err != nil {
		return err
	}
	if err := in.Limits.Check(); err != nil {
		return err
	}
	return checkImages(imagesInput(in))
}

func checkImages(in task.ChartImagesInput) error {
	if !releaseName.MatchString(in.Release) {
		return reason.New(reason.Malformed, "release %.100q: not a DNS label of at most 53 bytes", in.Release)
	}
	if !dnsLabel.MatchString(in.Namespace) {
		return reason.New(reason.Malformed, "namespace %.100q: not a DNS label", in.Namespace)
	}
	return checkImageFields(in.ImageFields)
}

// twice renders the chart two times and returns the objects of the first, with
// the fields in which the second differs.
func (s *source) twice() (list []*object, tests []string, varying []*field, err error) {
	sources, files := []*source{s, s.twin()}, make([]map[string]string, 2)
	if err := atOnce(2, func(i int) (err error) {
		files[i], err = sources[i].render()
		return err
	}); err != nil {
		return nil, nil, nil, err
	}
	if list, tests, err = parseAll(files[0]); err != nil {
		return nil, nil, nil, err
	}
	if varying, err = compare(list, files[0], files[1]); err != nil {
		return nil, nil, nil, err
	}
	if len(varying) > 0 && !s.found.volatile {
		f := varying[0]
		return nil, nil, nil, f.object.refuse(f.pointer(), "differs between two renders, though the templates name no function that would make it (a list of the keys of a mapping has no order of its own: sort it)")
	}
	return list, tests, varying, nil
}

// parseAll returns the objects of all rendered templates in their order, test
// hooks apart.
func parseAll(files map[string]string) (list []*object, tests []string, err error) {
	names := slices.Sorted(maps.Keys(files))
	objects, hooks := make([][]*object, len(names)), make([][]string, len(names))
	var count atomic.Int64
	err = atOnce(len(names), func(i int) error {
		if count.Load() > maxObjects {
			return nil
		}
		all, err := parseFile(names[i], files[names[i]])
		if err != nil {
			return err
		}
		objects[i], hooks[i], err = withoutTests(all)
		count.Add(int64(len(objects[i])))
		return err
	})
	switch list = slices.Concat(objects...); {
	case count.Load() > maxObjects:
		return nil, nil, reason.New(reason.TooLarge, "render: more than %d objects", maxObjects)
	case err != nil:
		return nil, nil, err
	case len(list) == 0:
		return nil, nil, reason.New(reason.Render, "the chart makes no objects with these values")
	}
	tests = slices.Concat(hooks...)
	slices.Sort(tests)
	return list, tests, nil
}

func (s *source) id() task.ChartID {
	m := s.chart.Metadata
	return task.ChartID{Name: m.Name, Version: m.Version, AppVersion: m.AppVersion}
}

// finishing turns what a chart made into what is applied.
type finishing struct {
	in        task.ChartInput
	pins      *pins
	marks     marks
	defaulted []string
}

func (r *finishing) all(list []*object) error {
	seen := map[string]bool{}
	for _, o := range list {
		o.place(r.in.Namespace)
		if key := o.key(r.in.Namespace); seen[key] {
			return o.refuse("metadata.name", "another object has it")
		} else {
			seen[key] = true
		}
		if err := r.one(o); err != nil {
			return err
		}
	}
	arrange(list)
	slices.Sort(r.defaulted)
	return nil
}

func (r *finishing) one(o *object) error {
	if err := r.pins.replace(o, r.in.ImageFields); err != nil {
		return err
	}
	places, err := o.setLimits(r.in.Limits)
	if err != nil {
		return err
	}
	r.defaulted = append(r.defaulted, places...)
	return r.marks.put(o)
}

func (r *finishing) result(s *source, list []*object, tests []string, volatile []task.VolatileField) (task.ChartResult, error) {
	render := task.ChartRender{Chart: s.id(), Namespace: r.in.Namespace, Release: r.in.Release, Secrets: secretNames(r.in), Values: s.ordered}
	render.Objects = make([]json.RawMessage, len(list))
	if err := atOnce(len(list), func(i int) (err error) {
		if render.Objects[i], err = json.Marshal(list[i].raw); err != nil {
			return list[i].refuse("", "%v", err)
		}
		return nil
	}); err != nil {
		return task.ChartResult{}, err
	}
	for _, v := range volatile {
		v.Kept = false
		render.Volatile = append(render.Volatile, v)
	}
	data, err := json.Marshal(render)
	if err != nil {
		return task.ChartResult{}, reason.New(reason.Internal, "encode render: %w", err)
	}
	if len(data) > task.MaxRender {
		return task.ChartResult{}, reason.New(reason.TooLarge, "render: %d bytes, at most %d are allowed", len(data), task.MaxRender)
	}
	return task.ChartResult{
		Render: data, Digest: digest.FromBytes(data), Images: slices.Sorted(maps.Keys(r.pins.used)),
		Defaulted: r.defaulted, Tests: tests, Volatile: volatile,
	}, nil
}

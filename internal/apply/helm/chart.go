package helm

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/archive"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// format bounds a chart archive. What its packed dependencies hold counts as
// well.
var format = archive.Format{Name: "chart archive", MaxPacked: task.MaxChart, MaxContents: 32 << 20, MaxEntries: 4096}

// maxNested bounds charts that are packed within packed charts.
const maxNested = 8

// packed is a dependency in the form in which Helm vendors it. Helm passes over
// names that begin with a dot or an underscore.
var packed = lazyregexp.New(`^(charts/[^/]+/)*charts/[^/_.][^/]*\.tgz$`)

var byteOrderMark = []byte("\xef\xbb\xbf")

// load reads a chart with all of its dependencies from the bytes of its archive.
func load(data []byte) (*chart.Chart, error) {
	u := unpacking{files: map[string][]byte{}}
	if err := u.add("", data, 0); err != nil {
		return nil, err
	}
	var files []*loader.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(u.files)) {
		files = append(files, &loader.BufferedFile{Name: name, Data: bytes.TrimPrefix(u.files[name], byteOrderMark)})
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, reason.New(reason.Malformed, "chart: %.500v", err)
	}
	if c.Metadata.Type == "library" {
		return nil, reason.New(reason.Render, "chart %s is a library, which has no objects of its own", c.Name())
	}
	return c, checkChart(c)
}

// unpacking writes packed dependencies out, so that Helm's loader, which sets
// itself other limits, meets none.
type unpacking struct {
	files map[string][]byte
	size  int
}

func (u *unpacking) add(prefix string, data []byte, depth int) error {
	if depth > maxNested {
		return reason.New(reason.TooLarge, "chart archive: %.200q: charts packed in charts more than %d deep", prefix, maxNested)
	}
	files, err := format.Read(data)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		full := prefix + name
		if packed.MatchString(full) {
			if err := u.add(strings.TrimSuffix(full, ".tgz")+"/", files[name], depth+1); err != nil {
				return err
			}
			continue
		}
		if err := u.file(full, files[name]); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) file(name string, data []byte) error {
	if _, ok := u.files[name]; ok {
		return reason.New(reason.Archive, "chart archive: %.200q is there packed and unpacked", name)
	}
	u.files[name] = data
	if u.size += len(data); u.size > format.MaxContents || len(u.files) > format.MaxEntries {
		return reason.New(reason.TooLarge, "chart archive: with its packed dependencies it expands to more than the limits allow (%d bytes, %d files)", format.MaxContents, format.MaxEntries)
	}
	return nil
}

// checkChart holds a chart and its dependencies to what we accept, and puts the
// latter in order: the loader returns them in that of a Go map, and the first
// that fits a requirement is taken.
func checkChart(c *chart.Chart) error {
	if c.Metadata.APIVersion != chart.APIVersionV2 {
		return reason.New(reason.Malformed, "chart %s: Chart.yaml: apiVersion %q: only v2 is read", c.ChartPath(), c.Metadata.APIVersion)
	}
	subs := slices.Clone(c.Dependencies())
	slices.SortStableFunc(subs, func(a, b *chart.Chart) int {
		return strings.Compare(a.Name()+"\x00"+a.Metadata.Version, b.Name()+"\x00"+b.Metadata.Version)
	})
	for i, sub := range subs {
		if i > 0 && subs[i-1].Name() == sub.Name() && subs[i-1].Metadata.Version == sub.Metadata.Version {
			return reason.New(reason.Malformed, "chart %s: %s %s is in charts/ twice", c.ChartPath(), sub.Name(), sub.Metadata.Version)
		}
		if err := checkChart(sub); err != nil {
			return err
		}
	}
	c.SetDependencies(subs...)
	return vendored(c)
}

// vendored refuses a chart that would have to be completed from a repository.
// Helm looks at the names only and then leaves out what has the wrong version.
func vendored(c *chart.Chart) error {
	for _, d := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(sub *chart.Chart) bool {
			return sub.Name() == d.Name && chartutil.IsCompatibleRange(d.Version, sub.Metadata.Version)
		}) {
			return reason.New(reason.Render, "chart %s: dependency %q %s is not in charts/: run 'helm dependency build' before packing", c.ChartPath(), d.Name, d.Version)
		}
	}
	return nil
}

// checkParts looks at what takes part in a render: the chart and the
// dependencies that its values turn on.
func checkParts(c *chart.Chart, caps *chartutil.Capabilities) error {
	if want := c.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, caps.KubeVersion.Version) {
		return reason.New(reason.Ineligible, "chart %s: kubeVersion %q: the device's Kubernetes is %s", c.ChartPath(), want, caps.KubeVersion.Version)
	}
	for _, f := range c.Files {
		if strings.HasPrefix(f.Name, "crds/") {
			return reason.New(reason.Render, "chart %s: %s: %s", c.ChartPath(), f.Name, noDefinitions)
		}
	}
	for _, sub := range c.Dependencies() {
		if err := checkParts(sub, caps); err != nil {
			return err
		}
	}
	return nil
}

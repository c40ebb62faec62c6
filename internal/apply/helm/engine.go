package helm

import (
	"errors"
	"slices"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/client-go/dynamic"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// helmVersion is what a chart sees as .Capabilities.HelmVersion; a test holds it
// to the library's. The Go version and build of this program are nobody's business.
const helmVersion = "v3.22.0"

// source is a chart with everything that enters its render.
type source struct {
	chart *chart.Chart
	// ordered are the values of the order, top is what templates see.
	ordered map[string]any
	top     chartutil.Values
	found   findings
}

// open loads a chart, turns on the dependencies that the values ask for, and
// checks all that can be checked before anything is rendered.
func open(in task.ChartImagesInput) (*source, error) {
	caps, err := capabilities(in.Capabilities)
	if err != nil {
		return nil, err
	}
	c, err := load(in.Chart)
	if err != nil {
		return nil, err
	}
	given, err := ordered(in.Values)
	if err != nil {
		return nil, err
	}
	s := &source{chart: c, ordered: given.tree().(map[string]any)}
	if err := s.prepare(in, given, caps); err != nil {
		return nil, err
	}
	s.found, err = scan(c, s.top["Values"])
	return s, err
}

func (s *source) prepare(in task.ChartImagesInput, given *node, caps *chartutil.Capabilities) error {
	if err := chartutil.ProcessDependenciesWithMerge(s.chart, s.ordered); err != nil {
		return reason.New(reason.Render, "dependencies: %.500v", err)
	}
	defaults, err := chartutil.CoalesceValues(s.chart, map[string]any{})
	if err != nil {
		return reason.New(reason.Render, "values of the chart: %.500v", err)
	}
	if err := given.fits(map[string]any(defaults)); err != nil {
		return err
	}
	if err := checkParts(s.chart, caps); err != nil {
		return err
	}
	// A render must not differ between an install and an upgrade, so every one is
	// the first install: what charts do only then is what has to stay.
	release := chartutil.ReleaseOptions{Name: in.Release, Namespace: in.Namespace, Revision: 1, IsInstall: true}
	if s.top, err = chartutil.ToRenderValuesWithSchemaValidation(s.chart, s.ordered, release, caps, true); err != nil {
		return reason.New(reason.Render, "values: %.500v", err)
	}
	s.top["Values"] = copied(s.top["Values"])
	return checkSchema(s.chart, s.top["Values"].(chartutil.Values))
}

var apiVersion = lazyregexp.New(`^[a-z0-9.-]{1,253}(/[A-Za-z0-9.-]{1,63}){0,2}$`)

const maxAPIVersions = 4096

func capabilities(in task.Capabilities) (*chartutil.Capabilities, error) {
	version, err := chartutil.ParseKubeVersion(in.KubeVersion)
	if err != nil {
		return nil, reason.New(reason.Malformed, "capabilities: kubeVersion %.60q: not a version", in.KubeVersion)
	}
	if len(in.APIVersions) > maxAPIVersions {
		return nil, reason.New(reason.TooLarge, "capabilities: more than %d API versions", maxAPIVersions)
	}
	for _, v := range in.APIVersions {
		if !apiVersion.MatchString(v) {
			return nil, reason.New(reason.Malformed, "capabilities: apiVersions: %.100q is not group/version or group/version/Kind", v)
		}
	}
	caps := &chartutil.Capabilities{KubeVersion: *version, APIVersions: slices.Sorted(slices.Values(in.APIVersions))}
	caps.HelmVersion.Version = helmVersion
	return caps, nil
}

// render runs the templates once.
func (s *source) render() (map[string]string, error) {
	files, err := engine.RenderWithClientProvider(s.chart, s.top, noCluster{})
	if err != nil {
		return nil, reason.New(reason.Render, "%.1000v", err)
	}
	return files, nil
}

// noCluster is what lookup finds: Helm's own way without a cluster is to find
// nothing, silently.
type noCluster struct{}

func (noCluster) GetClientFor(string, string) (dynamic.NamespaceableResourceInterface, bool, error) {
	return nil, false, errors.New("lookup: a render sees no cluster")
}

package helm

import (
	"maps"
	"slices"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// twin is the same source at another time of the world. The two have nothing in
// common that a template can write into, as some functions do, so that they can be
// rendered at the same time.
func (s *source) twin() *source {
	top := maps.Clone(s.top)
	top["Values"] = copied(s.top["Values"])
	top["Release"] = copied(s.top["Release"])
	caps := *s.top["Capabilities"].(*chartutil.Capabilities)
	caps.APIVersions = slices.Clone(caps.APIVersions)
	top["Capabilities"] = &caps
	return &source{chart: s.found.clocks.twin(s.chart), top: top}
}

// twin is a chart with the parts that a render uses.
func (c clocks) twin(from *chart.Chart) *chart.Chart {
	out := &chart.Chart{Metadata: metadataTwin(from.Metadata), Files: from.Files}
	for _, t := range from.Templates {
		out.Templates = append(out.Templates, c.shifted(t))
	}
	for _, sub := range from.Dependencies() {
		out.AddDependency(c.twin(sub))
	}
	return out
}

func metadataTwin(from *chart.Metadata) *chart.Metadata {
	out := *from
	out.Sources, out.Keywords, out.Annotations = slices.Clone(from.Sources), slices.Clone(from.Keywords), maps.Clone(from.Annotations)
	out.Maintainers, out.Dependencies = slices.Clone(from.Maintainers), slices.Clone(from.Dependencies)
	for i, m := range out.Maintainers {
		twin := *m
		out.Maintainers[i] = &twin
	}
	for i, d := range out.Dependencies {
		twin := *d
		twin.Tags = slices.Clone(d.Tags)
		if d.ImportValues != nil {
			twin.ImportValues = copied(d.ImportValues).([]any)
		}
		out.Dependencies[i] = &twin
	}
	return &out
}

// copied is a deep copy of a tree of values.
func copied(v any) any {
	switch v := v.(type) {
	case chartutil.Values:
		return chartutil.Values(copied(map[string]any(v)).(map[string]any))
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, child := range v {
			out[key] = copied(child)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = copied(child)
		}
		return out
	case map[string]string: // which Helm makes of the values that a chart imports
		return maps.Clone(v)
	default:
		return v
	}
}

package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/consign-dev/consign/internal/reason"
)

// literal is the chart that holds a render word for word: one template for each
// object, without an action of a template in it. Name and version are those of the
// chart that was rendered, so that "helm list" says what people expect.
func literal(r *render) (*chart.Chart, error) {
	c := &chart.Chart{
		Metadata: &chart.Metadata{
			APIVersion: chart.APIVersionV2, Name: r.Chart.Name, Version: r.Chart.Version, AppVersion: r.Chart.AppVersion,
			Description: "rendered and checked before: one template for each object", Type: "application",
		},
		Values: map[string]any{},
	}
	for i, raw := range r.Objects {
		text, err := literalText(raw)
		if err != nil {
			return nil, err
		}
		c.Templates = append(c.Templates, &chart.File{Name: fmt.Sprintf("templates/%03d.json", i), Data: text})
	}
	return c, c.Validate()
}

// notYAML are characters that end a line in YAML, or that it has no place for. Those
// from DEL to the end of the C1 controls are more of them.
var notYAML = []rune{0x2028, 0x2029, 0xfeff, 0xfffe, 0xffff}

// literalText is JSON that is the same after Helm's template engine and a parser of
// YAML: "{{" begins an action, and YAML refuses some characters that JSON does not.
// Both can stand only within a text, where JSON has another spelling for them.
func literalText(raw json.RawMessage) ([]byte, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, reason.New(reason.Malformed, "render: %w", err)
	}
	var out strings.Builder
	for _, c := range strings.ReplaceAll(compact.String(), "{{", `{\u007b`) {
		if c >= 0x7f && c < 0xa0 || slices.Contains(notYAML, c) {
			fmt.Fprintf(&out, `\u%04x`, c)
			continue
		}
		out.WriteRune(c)
	}
	return []byte(out.String()), nil
}

// prove has Helm make its manifest of the render without a cluster, keeps it, and
// refuses a render that would not be applied as it was checked.
func (r *render) prove() error {
	chart, err := literal(r)
	if err != nil {
		return err
	}
	in := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}, Capabilities: chartutil.DefaultCapabilities})
	in.ClientOnly, in.DryRun, in.DryRunOption = true, true, "client"
	in.ReleaseName, in.Namespace, in.DisableHooks = r.Release, r.Namespace, true
	made, err := in.Run(chart, r.Values)
	if err != nil {
		return reason.New(reason.Internal, "helm: read the render: %w", err)
	}
	r.manifest = made.Manifest
	return proveLiteral(r, made)
}

// proveLiteral reads what Helm made of the literal chart as the cluster's client
// will, and refuses it if that is not the render, object by object (attack A8).
func proveLiteral(r *render, made *release.Release) error {
	if len(made.Hooks) > 0 {
		return reason.New(reason.Internal, "helm took an object of the render for a hook")
	}
	manifests := releaseutil.SplitManifests(made.Manifest)
	if len(manifests) != len(r.objects) {
		return reason.New(reason.Internal, "helm made %d objects of a render of %d", len(manifests), len(r.objects))
	}
	want := map[string]map[string]any{}
	for _, o := range r.objects {
		want[name(o)] = o.Object
	}
	for _, text := range manifests {
		raw, err := yaml.ToJSON([]byte(text))
		if err != nil {
			return reason.New(reason.Internal, "read what helm made of the render: %w", err)
		}
		o, err := readObject(raw)
		if err != nil {
			return reason.New(reason.Internal, "read what helm made of the render: %w", err)
		}
		if !reflect.DeepEqual(o.Object, want[name(o)]) {
			return reason.New(reason.Internal, "%s: what helm made of the render is not the render", name(o))
		}
		delete(want, name(o))
	}
	return nil
}

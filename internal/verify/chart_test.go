package verify

import (
	"maps"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

const chartDeployment = "0b2b0f0e-6d0c-4b6e-8a55-0d2a54a3a001"

var chartImage = digest.FromString("image")

// chartRender is a render as applier-helm gives it.
var chartRender = `{"chart":{"name":"hello","version":"1.0.0"},"namespace":"cns","objects":[` +
	`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"crel","namespace":"cns","labels":{"dev.consign.deployment":"` + chartDeployment + `"}},` +
	`"spec":{"containers":[{"name":"web","image":"127.0.0.1:5127/c@` + string(chartImage) + `","imagePullPolicy":"IfNotPresent","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}]}}` +
	`],"release":"crel","values":{}}`

// What an applier makes of a chart is believed in nothing: whose it is, where it
// goes, what it runs and what it asks for are all read from the objects.
func TestARenderOfAChartIsHeldAgainstTheOrder(t *testing.T) {
	part := Component{Name: "hello", Type: bundle.Helm, Project: "crel", Namespace: "cns", Secrets: map[string]string{"words": "line-7"}}
	c := &content{deployment: chartDeployment, components: []Component{part}, images: []Image{{Manifest: ocispec.Descriptor{Digest: chartImage}}}}
	permitted, err := c.permit(part, Render{Component: "hello", Project: []byte(chartRender)})
	if err != nil || len(permitted.Images) != 1 || permitted.Digest != digest.FromString(chartRender) {
		t.Fatalf("%+v, %v", permitted, err)
	}
	given := strings.Replace(chartRender, `"release":"crel"`, `"release":"crel","secrets":["line-7"]`, 1)
	if _, err := c.permit(part, Render{Component: "hello", Project: []byte(given)}); err != nil {
		t.Errorf("a secret that the order gives: %v", err)
	}
	for name, edit := range map[string]struct {
		old, new string
		code     reason.Code
	}{
		"another release":        {`"release":"crel"`, `"release":"cother"`, reason.Render},
		"another namespace":      {`"cns"`, `"cother"`, reason.Render},
		"another's object":       {chartDeployment, "0b2b0f0e-6d0c-4b6e-8a55-0d2a54a3a002", reason.Render},
		"nobody's object":        {`,"labels":{"dev.consign.deployment":"` + chartDeployment + `"}`, ``, reason.Grant},
		"an image from outside":  {string(chartImage), string(digest.FromString("other")), reason.ImageUnpinned},
		"the node's network":     {`"spec":{`, `"spec":{"hostNetwork":true,`, reason.Grant},
		"a second reading":       {`"release":"crel"`, `"release":"crel","release":"crel"`, reason.Malformed},
		"a secret of another":    {`"release":"crel"`, `"release":"crel","secrets":["line-8"]`, reason.DeploymentMismatch},
		"a field that is no one": {`"release":"crel"`, `"release":"crel","hooks":[]`, reason.Malformed},
	} {
		text := strings.ReplaceAll(chartRender, edit.old, edit.new)
		if _, err := c.permit(part, Render{Component: "hello", Project: []byte(text)}); !reason.Is(err, edit.code) || text == chartRender {
			t.Errorf("%s: %v, want %s", name, err, edit.code)
		}
	}
	// The kind of the component counts, not what the render says of itself.
	if _, err := c.permit(part, Render{Component: "hello", Type: bundle.Compose, Project: []byte(`{"name":"crel","services":{}}`)}); err == nil {
		t.Error("a Compose project passes for a chart")
	}
}

func chartOrder(t *testing.T, profile string) (*Order, *Release) {
	t.Helper()
	d := &margo.ApplicationDeployment{ID: chartDeployment}
	d.Spec.ApplicationID, d.Spec.DeploymentProfile.Type = "hello", profile
	desc := &margo.ApplicationDescription{Parameters: map[string]margo.Parameter{
		"password": {Targets: []margo.Target{{Pointer: "auth.password", Components: []string{"hello"}}}},
	}}
	return &Order{deployment: d}, &Release{description: desc}
}

func TestComponentsOfAChart(t *testing.T) {
	part := margo.Component{Name: "hello"}
	o, r := chartOrder(t, margo.TypeHelm)
	c, err := newComponent(part, bundle.ComponentManifest{Type: bundle.Helm}, o, r)
	if err != nil || c.Namespace == "" || c.Project == "" {
		t.Errorf("%+v, %v", c, err)
	}
	o.deployment.ID = "0b2b0f0e-6d0c-4b6e-8a55-0d2a54a3a002"
	if other, err := newComponent(part, bundle.ComponentManifest{Type: bundle.Helm}, o, r); err != nil || other.Namespace == c.Namespace || other.Project == c.Project {
		t.Errorf("two deployments share %q or %q: %v", c.Namespace, c.Project, err)
	}
	if _, err := newComponent(part, bundle.ComponentManifest{Type: bundle.Compose}, o, r); !reason.Is(err, reason.DeploymentMismatch) {
		t.Errorf("a Compose component in a Helm profile: %v", err)
	}
	o.terms.Secrets = map[string]string{"password": "line-7"}
	c, err = newComponent(part, bundle.ComponentManifest{Type: bundle.Helm}, o, r)
	if err != nil || len(c.ChartValues) > 0 || !maps.Equal(c.Secrets, map[string]string{"auth.password": "line-7"}) {
		t.Errorf("a secret for a chart: %+v, %v", c, err)
	}
}

// A device applies what it has an applier for; one that says nothing has Docker's.
func TestProfilesNeedAnApplier(t *testing.T) {
	for _, c := range []struct {
		appliers []string
		profile  string
		ok       bool
	}{
		{nil, margo.TypeCompose, true}, {nil, margo.TypeHelm, false}, {nil, margo.TypeCustom, false},
		{[]string{margo.TypeHelm}, margo.TypeHelm, true}, {[]string{margo.TypeHelm}, margo.TypeCompose, false}, {[]string{}, margo.TypeCompose, false},
	} {
		if err := (Device{Appliers: c.appliers}).hasApplier(c.profile); c.ok != (err == nil) || !c.ok && !reason.Is(err, reason.Ineligible) {
			t.Errorf("%q with %q: %v", c.profile, c.appliers, err)
		}
	}
}

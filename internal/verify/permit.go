package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/policy"
)

// Render is the exact Compose project, or set of Kubernetes objects, that an
// applier made of one component.
// It comes from a program that parses untrusted input, so nothing about it is
// believed: it is checked whole.
type Render struct {
	// Component is the name of the component.
	Component string
	// Type is the component's, for people; "" says as much as [bundle.Compose].
	Type string
	// Project is the resolved project as JSON, or a [task.ChartRender].
	Project []byte
	// Defaulted are the places in Project that are a limit of
	// [Renderable.Limits]. It is for people; no check looks at it.
	Defaulted []string
	// Volatile are the fields that a chart makes anew at every render, for people.
	Volatile []task.VolatileField
}

// Permit says that exactly these objects may be applied. Only [Verdict.Permit]
// makes one.
type Permit struct {
	verdict *Verdict
	parts   []PermittedComponent
	steps   []Step
}

// PermittedComponent is one checked render.
type PermittedComponent struct {
	Component
	// Render is [Render.Project] and Digest its sha256 digest.
	Render []byte
	Digest digest.Digest
	// Images are the digest references in the render, sorted, each once.
	Images []string
	// PodSecurity is the level of the Pod Security Standards that the namespace of a
	// chart is held to: privileged, baseline or restricted; "" for Compose.
	PodSecurity string
}

// Verdict returns the verdict that the permit rests on.
func (p *Permit) Verdict() *Verdict { return p.verdict }

// Components returns what may be applied, in order.
func (p *Permit) Components() []PermittedComponent { return p.parts }

// Steps returns all checks from the release to the grants.
func (p *Permit) Steps() []Step { return p.steps }

// Permit checks one render per component, in the verdict's order: each asks for
// nothing that the policy does not grant and runs nothing but images of the
// bundle.
func (v *Verdict) Permit(renders []Render) (permit *Permit, err error) {
	t := &trail{steps: append([]Step(nil), v.steps...)}
	defer t.contain(&err)
	parts, err := v.checkRenders(t, renders)
	if err != nil {
		return nil, err
	}
	return &Permit{verdict: v, parts: parts, steps: t.steps}, nil
}

func (c *content) checkRenders(t *trail, renders []Render) ([]PermittedComponent, error) {
	const rule = "the rendered objects ask for nothing beyond the policy's grants and run only images of the bundle"
	if len(renders) != len(c.components) {
		return nil, t.refuse("grants", rule, c.policy, reason.Internal, fmt.Errorf("%d renders for %d components", len(renders), len(c.components)))
	}
	var parts []PermittedComponent
	for n, r := range renders {
		part, err := c.permit(c.components[n], r)
		if err != nil {
			return nil, t.refuse("grants", rule, c.policy, reason.Grant, fmt.Errorf("component %s: %w", c.components[n].Name, err))
		}
		parts = append(parts, part)
	}
	t.pass("grants", rule, c.policy, "%d component(s)", len(parts))
	return parts, nil
}

func (c *content) permit(part Component, r Render) (PermittedComponent, error) {
	var none PermittedComponent
	if r.Component != part.Name {
		return none, reason.New(reason.Internal, "the render is of component %q", r.Component)
	}
	images, err := c.judge(part, r.Project)
	if err != nil {
		return none, err
	}
	out := PermittedComponent{Component: part, Render: r.Project, Digest: digest.SHA256.FromBytes(r.Project), Images: images}
	if part.Type == bundle.Helm {
		out.PodSecurity = c.grants.PodSecurityLevel(r.Project)
	}
	return out, nil
}

// judge holds a render against the grants and lists its images.
func (c *content) judge(part Component, render []byte) ([]string, error) {
	if part.Type == bundle.Helm {
		if err := c.grants.CheckKubernetes(render); err != nil {
			return nil, err
		}
		return c.checkChart(part, render)
	}
	if err := c.grants.CheckCompose(render); err != nil {
		return nil, err
	}
	return c.checkRender(part, render)
}

// checkRender reads the three things that grants do not cover: the project's
// name, which is ours to give, the images, and the secrets, of which the
// component may name those that the order gives it and no other application's.
func (c *content) checkRender(part Component, project []byte) ([]string, error) {
	var doc struct {
		Name     string `json:"name"`
		Services map[string]struct {
			Image string `json:"image"`
		} `json:"services"`
		Secrets map[string]struct {
			Environment string `json:"environment"`
		} `json:"secrets"`
	}
	if err := strictjson.UnmarshalOpen(project, &doc, task.RenderLimits); err != nil {
		return nil, reason.New(reason.Render, "the render is not a Compose project: %w", err)
	}
	if doc.Name != part.Project {
		return nil, reason.New(reason.Render, "the render names project %q where %q was given", doc.Name, part.Project)
	}
	given := slices.Collect(maps.Values(part.Secrets))
	for key, s := range doc.Secrets {
		if !slices.Contains(given, s.Environment) {
			return nil, reason.New(reason.DeploymentMismatch, "secrets.%s: the order gives this component no secret %q", key, s.Environment)
		}
	}
	seen := map[string]bool{}
	for name, s := range doc.Services {
		if !c.allows(s.Image) {
			return nil, reason.New(reason.ImageUnpinned, "services.%s.image: %q is not an image of the bundle", name, s.Image)
		}
		seen[s.Image] = true
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// checkChart is checkRender for the objects of a chart: the release and namespace
// are ours to give, whose they are stands on each of them, and their images are the
// bundle's.
func (c *content) checkChart(part Component, render []byte) ([]string, error) {
	var doc task.ChartRender
	if err := strictjson.Unmarshal(render, &doc, task.RenderLimits); err != nil {
		return nil, reason.New(reason.Render, "the render is not a set of objects: %w", err)
	}
	if doc.Release != part.Project || doc.Namespace != part.Namespace {
		return nil, reason.New(reason.Render, "the render is of release %q in namespace %q where %q in %q was given", doc.Release, doc.Namespace, part.Project, part.Namespace)
	}
	given := slices.Collect(maps.Values(part.Secrets))
	for _, name := range doc.Secrets {
		if !slices.Contains(given, name) {
			return nil, reason.New(reason.DeploymentMismatch, "secrets: the order gives this component no secret %q", name)
		}
	}
	owner, err := policy.KubernetesDeployment(render)
	if err != nil {
		return nil, err
	}
	if owner != c.deployment {
		return nil, reason.New(reason.Render, "the objects say that they are of deployment %q, ordered is %q", owner, c.deployment)
	}
	images, err := c.grants.KubernetesImages(render)
	if err != nil {
		return nil, err
	}
	for _, image := range images {
		if !c.allows(image) {
			return nil, reason.New(reason.ImageUnpinned, "%q is not an image of the bundle", image)
		}
	}
	return images, nil
}

func (c *content) allows(image string) bool {
	_, d, ok := strings.Cut(image, "@")
	if !ok {
		return false
	}
	for _, i := range c.images {
		if string(i.Manifest.Digest) == d {
			return true
		}
	}
	return false
}

// CheckLive decides whether what runs of the n-th component, as the engine or the
// cluster reports it, stays within the grants of the verdict.
func (p *Permit) CheckLive(n int, seen Live) error {
	part := p.parts[n]
	return CheckLive(p.verdict.grants, part.Type, part.Project, part.Render, seen)
}

// Manifest is the small JSON document that names every render of the permit
// with its digest; its own digest is what the device log calls the render.
func (p *Permit) Manifest() []byte {
	type entry struct {
		Component string        `json:"component"`
		Project   string        `json:"project"`
		Render    digest.Digest `json:"render"`
	}
	list := make([]entry, 0, len(p.parts))
	for _, part := range p.parts {
		list = append(list, entry{part.Name, part.Project, part.Digest})
	}
	data, err := json.Marshal(list)
	if err != nil {
		panic("verify: strings always marshal: " + err.Error())
	}
	return data
}

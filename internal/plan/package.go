package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// The names under which a package is rehearsed that no operator has ordered yet.
const (
	noDeployment = "00000000-0000-4000-8000-000000000000"
	noDevice     = "any"
	noChannel    = "none"
)

// PackageInput is a package that was packed with [pack.Options.Rehearse].
type PackageInput struct {
	Packed pack.Result
	Source Source
	// Platform is rendered for; the zero value is the first that all images have.
	Platform ocispec.Platform
	// Values are parameters as text; the others have the package's defaults.
	Values map[string]string
	// Secrets are names of the device's files, by secret parameter; one that is not
	// named has a name that the policy grants, or any.
	Secrets map[string]string
	// Policy, if not nil, is asked what a device under it would say.
	Policy *policy.TrustPolicy
	// Try, if not nil, asks the policy about the signatures and attestations that
	// would be made. Without it they are unknown.
	Try func(context.Context) (*verify.Trial, error)
}

// Package is what publishing a package would bring into the world.
type Package struct {
	Application string        `json:"application"`
	Version     string        `json:"version"`
	Bundle      digest.Digest `json:"bundle"`
	// Manifest is the Margo package manifest, which the version's tag names.
	Manifest   digest.Digest `json:"package"`
	Components []Component   `json:"components"`
	Images     []Image       `json:"images"`
	// Pins and Unpinned are what becomes of consign.lock.
	Pins     []pack.Pin `json:"pins"`
	Unpinned []string   `json:"unpinned"`
	// Platform is what was rendered for.
	Platform   string     `json:"platform"`
	Profiles   []Profile  `json:"profiles"`
	Privileges Privileges `json:"privileges"`
	Warnings   []string   `json:"warnings"`
	// Policy is nil when none was asked.
	Policy *Judgement `json:"policy,omitempty"`
}

// Component is a component of a bundle.
type Component struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"archiveSize"`
}

// Profile is what one profile of the package makes.
type Profile struct {
	ID      string   `json:"id"`
	Objects []Object `json:"objects"`
	Limits  Limits   `json:"limits"`
	// Volatile are the fields that a chart makes anew at every render.
	Volatile []Volatile `json:"volatile"`
	// Secrets are the parameters for which an order names a file of the device.
	Secrets []string `json:"secrets"`

	renders []verify.Render
}

// OfPackage rehearses every profile of a package with its defaults. A policy that
// refuses is no error here: it is in [Package.Policy].
func OfPackage(ctx context.Context, in PackageInput, r Renderer) (*Package, error) {
	b := in.Packed.Bundle
	out := &Package{
		Application: b.Application, Version: b.Version, Bundle: in.Packed.Descriptor.Digest, Manifest: b.Package.Digest,
		Pins: append([]pack.Pin{}, in.Packed.Pins...), Unpinned: append([]string{}, in.Packed.Unpinned...),
		Components: []Component{}, Warnings: append([]string{}, in.Packed.Warnings...),
	}
	if err := out.list(ctx, b, in.Source); err != nil {
		return nil, err
	}
	if in.Platform.OS == "" {
		in.Platform = shownPlatform(out.Images)
	}
	out.Platform = bundle.PlatformString(in.Platform)
	for _, named := range []map[string]string{in.Values, in.Secrets} {
		if err := checkNames(in.Packed.Description, named); err != nil {
			return nil, err
		}
	}
	if in.Policy != nil {
		out.Policy = &Judgement{Accepted: true, Steps: []verify.Step{}, Unknown: []string{}}
		if err := out.Policy.try(ctx, in.Try); err != nil {
			return nil, err
		}
	}
	for _, profile := range in.Packed.Description.DeploymentProfiles {
		if err := out.rehearse(ctx, in, profile, r); err != nil {
			return nil, fmt.Errorf("profile %s: %w", profile.ID, err)
		}
	}
	var err error
	out.Privileges, err = privileges(in.grants(), out.renders())
	return out, err
}

func (p *Package) list(ctx context.Context, b *bundle.Bundle, docs verify.Documents) error {
	for _, c := range b.Components {
		data, err := docs.Manifest(ctx, c.Manifest.Digest, c.Manifest.Size)
		if err != nil {
			return fmt.Errorf("component %s: %w", c.Name, err)
		}
		m, err := bundle.ParseComponent(c.Manifest, data)
		if err != nil {
			return fmt.Errorf("component %s: %w", c.Name, err)
		}
		p.Components = append(p.Components, Component{c.Name, c.Manifest.Digest, m.Archive.Size})
	}
	var err error
	p.Images, err = listImages(ctx, b, docs)
	return err
}

func (p *Package) renders() []verify.Render {
	var out []verify.Render
	for _, profile := range p.Profiles {
		out = append(out, profile.renders...)
	}
	return out
}

// grants are those of the policy's entry for the application, if there is one.
func (in PackageInput) grants() policy.Grants {
	if in.Policy != nil {
		if app, err := in.Policy.Application(in.Packed.Bundle.Application); err == nil {
			return app.Grants
		}
	}
	return policy.Grants{}
}

// checkNames refuses a value for a parameter that no profile has: each profile
// is then given only what reaches it.
func checkNames(d *margo.ApplicationDescription, values map[string]string) error {
	for name := range values {
		if _, ok := d.Parameters[name]; !ok {
			return reason.New(reason.DeploymentMismatch, "the package has no parameter %.80q", name)
		}
	}
	return nil
}

func (p *Package) rehearse(ctx context.Context, in PackageInput, profile margo.DeploymentProfile, r Renderer) error {
	deployment, err := in.deployment(profile)
	if err != nil {
		return fmt.Errorf("with the defaults and --set: %w", err)
	}
	unlisted := verify.UnlistedInput{
		Bundle: in.Packed.Descriptor, Deployment: deployment, Grants: withSecrets(in.grants(), in.files(profile)),
		Device: verify.Device{ID: noDevice, Platform: in.Platform},
	}
	rehearsal, err := verify.RehearseUnlisted(ctx, unlisted, in.Source)
	if err != nil {
		return err
	}
	renders, err := r.Render(ctx, rehearsal, in.Source.Archive(ctx))
	if err != nil {
		return err
	}
	objects, err := listObjects(rehearsal, renders)
	if err != nil {
		return err
	}
	p.Profiles = append(p.Profiles, Profile{
		ID: profile.ID, Objects: objects, Limits: limits(rehearsal, renders), Volatile: listVolatile(renders),
		Secrets: in.secrets(profile), renders: renders,
	})
	if in.Policy == nil {
		return nil
	}
	unlisted.Policy, unlisted.Tried = in.Policy, in.Try != nil
	return p.Policy.judge(ctx, unlisted, renders, in.Source)
}

// deployment is an order of the profile for no device in particular.
func (in PackageInput) deployment(profile margo.DeploymentProfile) ([]byte, error) {
	desc, values := in.Packed.Description, map[string]string{}
	for name, v := range in.Values {
		if reaches(desc.Parameters[name], profile) {
			values[name] = v
		}
	}
	return margo.NewDeployment(desc, margo.NewDeploymentInput{
		ID: noDeployment, Name: "plan", Namespace: "consign", DeviceID: noDevice,
		ProfileID: profile.ID, Values: values, Secrets: in.files(profile),
		Order: margo.Order{Bundle: margo.BundleRef{Channel: noChannel, Version: in.Packed.Bundle.Version, Digest: string(in.Packed.Descriptor.Digest)}},
	})
}

func (in PackageInput) secrets(profile margo.DeploymentProfile) []string {
	out, desc := []string{}, in.Packed.Description
	for _, name := range slices.Sorted(maps.Keys(desc.Parameters)) {
		if desc.Secret(name) && reaches(desc.Parameters[name], profile) {
			out = append(out, name)
		}
	}
	return out
}

// files are the names that stand for the profile's secrets.
func (in PackageInput) files(profile margo.DeploymentProfile) map[string]string {
	out, granted := map[string]string{}, in.grants().Secrets
	for n, name := range in.secrets(profile) {
		switch {
		case in.Secrets[name] != "":
			out[name] = in.Secrets[name]
		case n < len(granted):
			out[name] = granted[n]
		default:
			out[name] = fmt.Sprintf("secret-%d", n+1)
		}
	}
	return out
}

// withSecrets grants the secrets of a deployment that is only looked at.
func withSecrets(g policy.Grants, secrets map[string]string) policy.Grants {
	g.Secrets = slices.Concat(g.Secrets, slices.Sorted(maps.Values(secrets)))
	return g
}

func reaches(p margo.Parameter, profile margo.DeploymentProfile) bool {
	return slices.ContainsFunc(p.Targets, func(t margo.Target) bool {
		return slices.ContainsFunc(profile.Components, func(c margo.Component) bool { return slices.Contains(t.Components, c.Name) })
	})
}

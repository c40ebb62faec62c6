package margo

import (
	"fmt"
	"slices"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

var (
	applicationID = lazyregexp.New(`^[a-z0-9-]{1,200}$`)
	componentName = lazyregexp.New(`^[a-z0-9-]{1,200}$`)
	// The specification asks for ^oci://.+ and a valid OCI reference; the tag
	// is in revision. Path grammar: OCI Distribution Spec 1.1, Pulling manifests.
	ociRepository = lazyregexp.New(`^oci://[a-zA-Z0-9.\[\]:-]+(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$`)
)

// CheckApplicationID reports why id cannot be the id of an application:
// ^[a-z0-9-]{1,200}$ (Margo 1.0.0-rc.3, Application Description).
func CheckApplicationID(id string) error {
	if !applicationID.MatchString(id) {
		return reason.New(reason.Malformed, "application id %.80q must be 1 to 200 lower-case letters, digits and dashes", id)
	}
	return nil
}

func (d *ApplicationDescription) normalise() {
	d.Extensions.normalise()
	for i := range d.DeploymentProfiles {
		d.DeploymentProfiles[i].Extensions.normalise()
		d.DeploymentProfiles[i].DeviceConstraints.normalise()
		normaliseComponents(d.DeploymentProfiles[i].Components)
	}
	normaliseParameters(d.Parameters)
	if d.Configuration != nil {
		for _, s := range d.Configuration.Schema {
			normalise(s.Options)
		}
	}
}

func normaliseComponents(components []Component) {
	for _, c := range components {
		c.Extensions.normalise()
	}
}

func normaliseParameters(parameters map[string]Parameter) {
	for name, p := range parameters {
		p.Value = normalise(p.Value)
		parameters[name] = p
	}
}

func (d *ApplicationDescription) validate(p *problems) {
	if d.APIVersion != "v1" {
		p.add("apiVersion is %.40q, this reads v1 (Margo 1.0.0-rc.3)", d.APIVersion)
	}
	if !applicationID.MatchString(d.ID) {
		p.add("id: %.80q must be 1 to 200 lower-case letters, digits and dashes", d.ID)
	}
	d.Metadata.validate(p)
	if len(d.DeploymentProfiles) == 0 {
		p.add("deploymentProfiles is missing or empty")
	}
	types := d.validateProfiles(p)
	checker := parameterChecker{p: p, types: types, owner: map[place]string{}}
	for _, name := range sortedKeys(d.Parameters) {
		checker.check(name, d.Parameters[name])
	}
	if d.Configuration != nil {
		d.Configuration.validate(p, d.Parameters)
		d.validateLists(p, types)
	}
	d.validateMarks(p)
}

// validateProfiles returns, for each name of a component, the types of the
// profiles that have it.
func (d *ApplicationDescription) validateProfiles(p *problems) map[string][]string {
	types, ids := map[string][]string{}, map[string]bool{}
	for i := range d.DeploymentProfiles {
		profile := &d.DeploymentProfiles[i]
		at := fmtIndex("deploymentProfiles", i)
		if profile.ID == "" {
			p.add("%s.id is missing", at)
		}
		if ids[profile.ID] {
			p.add("%s.id: a second profile has the id %.80q", at, profile.ID)
		}
		ids[profile.ID] = true
		profile.validate(p, at)
		for _, c := range profile.Components {
			if !slices.Contains(types[c.Name], profile.Type) {
				types[c.Name] = append(types[c.Name], profile.Type)
			}
		}
	}
	return types
}

// validateLists refuses a setting whose values are lists for a parameter that
// goes to an environment variable: Margo does not say how a list is written
// there.
func (d *ApplicationDescription) validateLists(p *problems, types map[string][]string) {
	for _, name := range sortedKeys(d.Parameters) {
		_, schema := d.setting(name)
		if schema == nil || !schema.list() {
			continue
		}
		for _, t := range d.Parameters[name].Targets {
			for _, c := range t.Components {
				if slices.Contains(types[c], TypeCompose) {
					p.add("parameters.%s: schema %.80q makes it a list, which cannot be the value of an environment variable", shortName(name), schema.Name)
				}
			}
		}
	}
}

func (p *DeploymentProfile) validate(out *problems, at string) {
	validateProfileParts(out, at, p.Type, p.Components, p.DeviceConstraints)
	if c := p.DeviceConstraints; c != nil && c.CapacityRequirements != nil && c.CapacityRequirements.CPU != nil &&
		slices.Contains(c.CapacityRequirements.CPU.Architectures, "other") && p.Description == "" {
		out.add("%s.description is missing: architecture other must be explained in it", at)
	}
}

// validateProfileParts checks what a profile has in both documents.
func validateProfileParts(p *problems, at, profileType string, components []Component, constraints *DeviceConstraints) {
	if err := checkProfileType(profileType); err != nil {
		p.add("%s.type: %v", at, err)
	}
	if len(components) == 0 {
		p.add("%s.components is missing or empty", at)
	}
	names := map[string]bool{}
	for i, c := range components {
		c.validate(p, fmtIndex(at+".components", i))
		if names[c.Name] {
			p.add("%s: a second component is named %.80q", at, c.Name)
		}
		names[c.Name] = true
	}
	constraints.validate(p, at+".deviceConstraints")
	if profileType == TypeCustom && !selectsByLabel(constraints) {
		p.add("%s.deviceConstraints: a custom profile must have eligibilityRules, each with a labelSelector", at)
	}
}

func checkProfileType(t string) error {
	switch t {
	case TypeHelm, TypeCompose, TypeCustom:
		return nil
	case "helm.v3":
		return fmt.Errorf("helm.v3 was renamed in Margo 1.0.0-rc.2: write helm")
	case "docker-compose":
		return fmt.Errorf("docker-compose was renamed: write compose")
	}
	return fmt.Errorf("%.40q is none of helm, compose, custom", t)
}

func selectsByLabel(c *DeviceConstraints) bool {
	return c != nil && len(c.EligibilityRules) > 0 &&
		!slices.ContainsFunc(c.EligibilityRules, func(r EligibilityRule) bool { return r.LabelSelector == nil })
}

func (c Component) validate(p *problems, at string) {
	if !componentName.MatchString(c.Name) {
		p.add("%s.name: %.80q must be 1 to 200 lower-case letters, digits and dashes", at, c.Name)
	}
	if !ociRepository.MatchString(c.Properties.Repository) {
		p.add("%s.properties.repository: %.80q is not oci://host/path without a tag", at, c.Properties.Repository)
	}
	if r := c.Properties.Revision; !revision.MatchString(r) || !ociTag.MatchString(r) {
		p.add("%s.properties.revision: %.80q is not a semantic version such as 1.4.0 or 1.4.0_build.7 (no leading v, _ for +)", at, r)
	}
	if t := c.Properties.Timeout; t != "" {
		if _, ok := parseTimeout(t); !ok {
			p.add("%s.properties.timeout: %.40q is not minutes and seconds such as 5m0s, above 0 and at most 24 hours", at, t)
		}
	}
}

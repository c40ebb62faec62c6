package margo

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
)

// CheckFits reports whether the deployment is one that the package allows: it
// is for this application and version, its profile is one of the package's
// with nothing changed and nothing added but the order, every parameter is the
// package's with its targets, none is missing that the package gives a value or
// demands one for, every value satisfies its schema, and exactly the parameters
// that the package marks as secret have the name of a secret in their place. Parsed values are
// compared, not text. The error has reason deployment-mismatch.
//
// This is what keeps a stolen deploy key from reaching anything but declared
// parameters.
func (d *ApplicationDeployment) CheckFits(desc *ApplicationDescription) error {
	if err := d.fits(desc); err != nil {
		return reason.Wrap(reason.DeploymentMismatch, err)
	}
	return nil
}

func (d *ApplicationDeployment) fits(desc *ApplicationDescription) error {
	if d.Spec.ApplicationID != desc.ID {
		return fmt.Errorf("spec.applicationId is %.80q, the package is %.80q", d.Spec.ApplicationID, desc.ID)
	}
	var order Order
	if _, ordered := d.Spec.DeploymentProfile.Extensions[ExtensionKey]; ordered {
		var err error
		if order, err = d.Order(); err != nil {
			return err
		}
		if order.Bundle.Version != desc.Metadata.Version {
			return fmt.Errorf("the order is for version %.80q, the package is %.80q", order.Bundle.Version, desc.Metadata.Version)
		}
	}
	profile, err := d.Spec.DeploymentProfile.find(desc)
	if err != nil {
		return err
	}
	if err := desc.secretsFit(order.Secrets, profile); err != nil {
		return err
	}
	return d.parametersFit(desc, profile)
}

// find returns the package's profile that the deployed one is a copy of.
func (p *DeployedProfile) find(desc *ApplicationDescription) (*DeploymentProfile, error) {
	var differences []string
	for i := range desc.DeploymentProfiles {
		candidate := &desc.DeploymentProfiles[i]
		if candidate.Type != p.Type {
			continue
		}
		err := p.copyOf(candidate)
		if err == nil {
			return candidate, nil
		}
		if len(differences) < maxProblems {
			differences = append(differences, fmt.Sprintf("profile %.80q: %v", candidate.ID, err))
		}
	}
	if differences == nil {
		return nil, fmt.Errorf("spec.deploymentProfile: the package has no profile of type %s", p.Type)
	}
	return nil, fmt.Errorf("spec.deploymentProfile is not the package's: %s", strings.Join(differences, "; "))
}

func (p *DeployedProfile) copyOf(want *DeploymentProfile) error {
	if len(p.Components) != len(want.Components) {
		return fmt.Errorf("%d components, the package has %d", len(p.Components), len(want.Components))
	}
	for i := range want.Components {
		if err := p.Components[i].copyOf(want.Components[i]); err != nil {
			return fmt.Errorf("%s: %w", fmtIndex("components", i), err)
		}
	}
	if !reflect.DeepEqual(p.DeviceConstraints, want.DeviceConstraints) {
		return errors.New("deviceConstraints differ")
	}
	if err := p.sameMarks(want); err != nil {
		return err
	}
	return sameExtensions(p.Extensions.without(ExtensionKey), want.Extensions.without(ExtensionKey))
}

func (c Component) copyOf(want Component) error {
	for _, f := range []struct{ name, got, want string }{
		{"name", c.Name, want.Name},
		{"repository", c.Properties.Repository, want.Properties.Repository},
		{"revision", c.Properties.Revision, want.Properties.Revision},
		{"timeout", c.Properties.Timeout, want.Properties.Timeout},
	} {
		if f.got != f.want {
			return fmt.Errorf("%s is %.80q, in the package %.80q", f.name, f.got, f.want)
		}
	}
	if !reflect.DeepEqual(c.Properties.Wait, want.Properties.Wait) {
		return errors.New("wait differs")
	}
	return sameExtensions(c.Extensions, want.Extensions)
}

func sameExtensions(got, want Extensions) error {
	for key := range got {
		if _, ok := want[key]; !ok {
			return fmt.Errorf("%.80q is not in the package", key)
		}
	}
	for key := range want {
		if content, ok := got[key]; !ok || !reflect.DeepEqual(content, want[key]) {
			return fmt.Errorf("%.80q is missing or differs", key)
		}
	}
	return nil
}

func (d *ApplicationDeployment) parametersFit(desc *ApplicationDescription, profile *DeploymentProfile) error {
	for _, name := range sortedKeys(d.Spec.Parameters) {
		declared, ok := desc.Parameters[name]
		if !ok {
			return fmt.Errorf("%s, the package does not declare it", unknown("parameter", name, desc.Parameters))
		}
		if profile.secret(name) {
			return fmt.Errorf("parameters.%s: the package marks it as secret, so a deployment may name a file of the device for it and never carry its value", shortName(name))
		}
		param := d.Spec.Parameters[name]
		if !slices.EqualFunc(param.Targets, declared.reaches(profile.Components), sameTarget) {
			return fmt.Errorf("parameters.%s: targets are not the package's for profile %.80q", shortName(name), profile.ID)
		}
		if _, err := desc.accept(name, param.Value); err != nil {
			return fmt.Errorf("parameters.%s: %w", shortName(name), err)
		}
	}
	for _, name := range sortedKeys(desc.Parameters) {
		if _, ok := d.Spec.Parameters[name]; !ok && desc.needs(name, profile) {
			return fmt.Errorf("parameters.%s is missing, the package has a value for it or needs one", shortName(name))
		}
	}
	return nil
}

func sameTarget(a, b Target) bool {
	return a.Pointer == b.Pointer && slices.Equal(a.Components, b.Components)
}

// needs reports whether a deployment of the profile must have the parameter: it
// goes somewhere, and has a default or a setting that may not be left empty.
// Leaving out a default would hand the choice to the component.
func (d *ApplicationDescription) needs(name string, profile *DeploymentProfile) bool {
	p := d.Parameters[name]
	if len(p.reaches(profile.Components)) == 0 {
		return false
	}
	_, schema := d.setting(name)
	return p.Value != nil || schema != nil && !schema.AllowEmpty
}

// accept returns a value for a parameter in its type, or a phrase that says
// why it is not allowed. Without a schema the default's type counts, whole and
// other numbers being one; without a default any scalar is allowed.
func (d *ApplicationDescription) accept(name string, v any) (any, error) {
	if err := checkValue(v); err != nil {
		return nil, err
	}
	if _, schema := d.setting(name); schema != nil {
		return schema.Accept(v)
	}
	if schema := d.implied(name); schema != nil {
		return schema.Accept(v)
	}
	return v, nil
}

// implied is the schema of a parameter that no setting describes, nil when it
// has no default either.
func (d *ApplicationDescription) implied(name string) *Schema {
	value := d.Parameters[name].Value
	if value == nil {
		return nil
	}
	t := strings.Replace(typeOf(value), typeInteger, typeDouble, 1)
	return &Schema{DataType: t, AllowEmpty: true}
}

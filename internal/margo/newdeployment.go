package margo

import (
	"fmt"
	"maps"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// NewDeploymentInput is what [NewDeployment] needs beside the package.
type NewDeploymentInput struct {
	ID        string // a UUID, the same for every deployment that replaces this one
	Name      string // Kubernetes name
	Namespace string // Kubernetes namespace
	DeviceID  string // one device
	ProfileID string // of the package's profiles, see [ApplicationDescription.ChooseProfile]
	// Values are what the operator wrote, by parameter, as text; the elements
	// of a list are separated by commas.
	Values map[string]string
	// Previous are the values of the deployment that this one replaces, by
	// parameter. They count where Values has none; parameters that the package
	// no longer has are dropped.
	Previous map[string]any
	// Secrets are the names of the device's files for secret parameters, and
	// PreviousSecrets those of the deployment that this one replaces.
	Secrets, PreviousSecrets map[string]string
	// Order is what is ordered; its secrets are filled in.
	Order Order
}

// NewDeployment writes an ApplicationDeployment that fits the package: the
// profile is the package's, each parameter has the value of in.Values, else of
// in.Previous, else the package's default. The same input gives the same bytes.
// A value that is not allowed, or one that is missing, is refused with reason
// deployment-mismatch.
func NewDeployment(desc *ApplicationDescription, in NewDeploymentInput) ([]byte, error) {
	profile, err := desc.profile(in.ProfileID)
	if err != nil {
		return nil, err
	}
	if err := CheckDeviceID(in.DeviceID); err != nil {
		return nil, err
	}
	parameters, err := desc.fill(profile, in)
	if err != nil {
		return nil, err
	}
	if in.Order.Secrets, err = desc.fillSecrets(profile, in); err != nil {
		return nil, err
	}
	marked, err := profile.marks()
	if err != nil {
		return nil, fmt.Errorf("write deployment: %w", err)
	}
	in.Order.SecretParameters = marked.SecretParameters
	order, err := in.Order.extension()
	if err != nil {
		return nil, fmt.Errorf("write deployment: %w", err)
	}
	extensions := maps.Clone(profile.Extensions)
	if extensions == nil {
		extensions = Extensions{}
	}
	extensions[ExtensionKey] = order
	d := &ApplicationDeployment{
		ID:       in.ID,
		Metadata: DeploymentMetadata{Name: in.Name, Namespace: in.Namespace, DeviceID: in.DeviceID},
		Spec: DeploymentSpec{
			ApplicationID: desc.ID,
			DeploymentProfile: DeployedProfile{
				Type: profile.Type, Components: profile.Components,
				DeviceConstraints: profile.DeviceConstraints, Extensions: extensions,
			},
			Parameters: parameters,
		},
	}
	return d.encode(desc)
}

// encode writes d and reads it back as a device will.
func (d *ApplicationDeployment) encode(desc *ApplicationDescription) ([]byte, error) {
	data, err := strictyaml.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write deployment: %w", err)
	}
	written, err := ParseDeployment(data)
	if err != nil {
		return nil, err
	}
	if _, err := written.Order(); err != nil {
		return nil, err
	}
	if err := written.CheckFits(desc); err != nil {
		return nil, err
	}
	return data, nil
}

func mismatch(format string, args ...any) error {
	return reason.New(reason.DeploymentMismatch, format, args...)
}

// fill chooses the values of the parameters that the profile's components get.
func (d *ApplicationDescription) fill(profile *DeploymentProfile, in NewDeploymentInput) (map[string]Parameter, error) {
	for _, name := range sortedKeys(in.Values) {
		p, ok := d.Parameters[name]
		if !ok {
			return nil, mismatch("%s", unknown("parameter", name, d.Parameters))
		}
		if len(p.reaches(profile.Components)) == 0 {
			return nil, mismatch("parameter %.80q has no effect in profile %.80q", name, profile.ID)
		}
	}
	out := map[string]Parameter{}
	for _, name := range sortedKeys(d.Parameters) {
		targets := d.Parameters[name].reaches(profile.Components)
		if len(targets) == 0 || profile.secret(name) {
			continue
		}
		value, err := d.choose(name, in)
		if err != nil {
			return nil, mismatch("parameter %.80q: %w", name, err)
		}
		if value == nil {
			if d.needs(name, profile) {
				return nil, mismatch("parameter %.80q has no default, give it a value", name)
			}
			continue
		}
		out[name] = Parameter{Value: value, Targets: targets}
	}
	return out, nil
}

func (d *ApplicationDescription) choose(name string, in NewDeploymentInput) (any, error) {
	value := d.Parameters[name].Value
	if previous, ok := in.Previous[name]; ok {
		value = normalise(previous)
	}
	if written, ok := in.Values[name]; ok {
		value = d.split(name, written)
	}
	if value == nil {
		return nil, nil
	}
	typed, err := d.accept(name, value)
	if err != nil {
		return nil, err
	}
	if s, ok := value.(string); ok && text(typed) != s {
		return s, nil // 1.50 has a precision that the number 1.5 has lost
	}
	return typed, nil
}

// split makes a list of what was written when the parameter takes a list.
func (d *ApplicationDescription) split(name, written string) any {
	_, schema := d.setting(name)
	if schema == nil {
		schema = d.implied(name)
	}
	if schema == nil || !schema.list() {
		return written
	}
	list := []any{}
	if written == "" {
		return list
	}
	for e := range strings.SplitSeq(written, ",") {
		list = append(list, e)
	}
	return list
}

package margo

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/strictjson"
)

// marks is what a package says to Consign, under [ExtensionKey] in a profile. A
// deployment repeats it beside the order, as Margo demands of extensions.
type marks struct {
	// SecretParameters are the parameters whose values no deployment may carry.
	SecretParameters []string `json:"secretParameters,omitempty"`
}

// MaxSecrets bounds the secrets of one deployment, which an applier is handed
// all at once.
const MaxSecrets = 64

// secretName is strict because it becomes the name of a file.
var secretName = lazyregexp.New(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ValidSecretName reports whether name can be that of a secret of a device.
func ValidSecretName(name string) bool { return secretName.MatchString(name) }

// marks reads the profile's marks; a profile without any has none.
func (p *DeploymentProfile) marks() (marks, error) {
	var m marks
	content, ok := p.Extensions[ExtensionKey]
	if !ok {
		return m, nil
	}
	data, err := json.Marshal(content)
	if err != nil {
		return m, err
	}
	return m, strictjson.Unmarshal(data, &m, strictjson.Limits{})
}

// secret reports whether the profile marks a parameter.
func (p *DeploymentProfile) secret(parameter string) bool {
	return slices.Contains(p.Extensions.secretParameters(), any(parameter))
}

// secretParameters are the marked names as they were read, of any type until
// the document has been validated.
func (e Extensions) secretParameters() []any {
	names, _ := e[ExtensionKey]["secretParameters"].([]any)
	return names
}

// sameMarks compares what the package says in a profile with what a deployment
// repeats.
func (p *DeployedProfile) sameMarks(want *DeploymentProfile) error {
	got, wanted := p.Extensions.secretParameters(), want.Extensions.secretParameters()
	if len(got)+len(wanted) > 0 && !reflect.DeepEqual(got, wanted) {
		return fmt.Errorf("%s.secretParameters is missing or differs", ExtensionKey)
	}
	return nil
}

// validateMarks checks what every profile marks.
func (d *ApplicationDescription) validateMarks(p *problems) {
	for i := range d.DeploymentProfiles {
		profile := &d.DeploymentProfiles[i]
		at := fmtIndex("deploymentProfiles", i) + "." + ExtensionKey
		m, err := profile.marks()
		if err != nil {
			p.add("%s: a package may hold secretParameters here, the rest is the deployment's: %v", at, err)
			continue
		}
		if len(m.SecretParameters) > MaxSecrets {
			p.add("%s.secretParameters: %d names, at most %d are allowed", at, len(m.SecretParameters), MaxSecrets)
			continue
		}
		for n, name := range m.SecretParameters {
			if err := d.checkMark(profile, name); err != nil {
				p.add("%s: %v", fmtIndex(at+".secretParameters", n), err)
			}
			if slices.Contains(m.SecretParameters[:n], name) {
				p.add("%s: %.80q is named twice", fmtIndex(at+".secretParameters", n), name)
			}
		}
	}
}

// checkMark reports why a parameter cannot be secret in a profile. A default
// would be a secret that everybody has, and a setting asks people for a value
// that they would then put into a deployment.
func (d *ApplicationDescription) checkMark(profile *DeploymentProfile, name string) error {
	param, ok := d.Parameters[name]
	setting, _ := d.setting(name)
	switch {
	case !ok:
		return errors.New(unknown("parameter", name, d.Parameters))
	case len(param.reaches(profile.Components)) == 0:
		return fmt.Errorf("parameter %.80q has no effect in profile %.80q", name, profile.ID)
	case param.Value != nil:
		return fmt.Errorf("parameter %.80q is secret and has a value in the package, which everybody can read: remove it", name)
	case setting != nil:
		return fmt.Errorf("parameter %.80q is secret and has a setting, which asks people for its value: remove it", name)
	}
	for i := range d.DeploymentProfiles {
		// One component cannot take a value both ways.
		other := &d.DeploymentProfiles[i]
		if len(param.reaches(other.Components)) > 0 && !other.secret(name) {
			return fmt.Errorf("parameter %.80q is secret here and not in profile %.80q: mark it there, too", name, other.ID)
		}
	}
	return nil
}

// Secret reports whether the package marks a parameter as secret in any profile.
func (d *ApplicationDescription) Secret(parameter string) bool {
	return slices.ContainsFunc(d.DeploymentProfiles, func(p DeploymentProfile) bool { return p.secret(parameter) })
}

// ComponentSecrets is what is secret of a component's parameters: the variables of a
// Compose component, or the pointers into the values of a chart, that secret
// parameters point to, each with the name that secrets, by parameter, gives.
func (d *ApplicationDescription) ComponentSecrets(secrets map[string]string, component string) map[string]string {
	out := map[string]string{}
	for parameter, name := range secrets {
		for _, t := range d.Parameters[parameter].Targets {
			if slices.Contains(t.Components, component) {
				out[t.Pointer] = name
			}
		}
	}
	return out
}

// secretsFit checks that an order names a secret for each parameter that the
// profile marks, and for no other.
func (d *ApplicationDescription) secretsFit(secrets map[string]string, profile *DeploymentProfile) error {
	for _, name := range sortedKeys(secrets) {
		if _, ok := d.Parameters[name]; !ok {
			return fmt.Errorf("secrets: %s, the package does not declare it", unknown("parameter", name, d.Parameters))
		}
		if !profile.secret(name) {
			return fmt.Errorf("secrets.%s: the package does not mark this parameter as secret", shortName(name))
		}
	}
	for _, name := range sortedKeys(d.Parameters) {
		if _, ok := secrets[name]; !ok && profile.secret(name) {
			return fmt.Errorf("secrets.%s is missing: the package marks the parameter as secret", shortName(name))
		}
	}
	return nil
}

// fillSecrets chooses the names of the device's files for the parameters that
// the profile marks: those of in.Secrets, else those of the deployment before.
func (d *ApplicationDescription) fillSecrets(profile *DeploymentProfile, in NewDeploymentInput) (map[string]string, error) {
	for _, name := range sortedKeys(in.Secrets) {
		if _, ok := d.Parameters[name]; !ok {
			return nil, mismatch("%s", unknown("parameter", name, d.Parameters))
		}
		if !profile.secret(name) {
			return nil, mismatch("parameter %.80q is not secret in this package: give its value with --set", name)
		}
	}
	var out map[string]string
	for _, name := range sortedKeys(d.Parameters) {
		if !profile.secret(name) {
			continue
		}
		if _, written := in.Values[name]; written {
			return nil, mismatch("parameter %.80q is secret, and its value must not travel in a deployment: write it into a file on the device and say --secret %s=NAME", name, name)
		}
		file, ok := in.Secrets[name]
		if !ok {
			file, ok = in.PreviousSecrets[name]
		}
		if !ok {
			return nil, mismatch("parameter %.80q is secret and has no file yet: write its value into a file on the device and say --secret %s=NAME", name, name)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = file
	}
	return out, nil
}

func (o Order) validateSecrets(p *problems) {
	if len(o.Secrets) > MaxSecrets {
		p.add("secrets: %d names, at most %d are allowed", len(o.Secrets), MaxSecrets)
		return
	}
	for _, parameter := range sortedKeys(o.Secrets) {
		if name := o.Secrets[parameter]; !secretName.MatchString(name) {
			p.add("secrets.%s: %.80q is not the name of a secret: 1 to 64 lower-case letters, digits and . _ -, beginning with a letter or digit", shortName(parameter), name)
		}
	}
}

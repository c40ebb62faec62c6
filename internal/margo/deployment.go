package margo

import (
	"slices"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// ApplicationDeployment orders one device to run one application in one way.
// Field meanings are those of Margo 1.0.0-rc.3, Desired State.
type ApplicationDeployment struct {
	ID       string             `yaml:"id"` // a UUID in lower case; the same while the content changes
	Metadata DeploymentMetadata `yaml:"metadata"`
	Spec     DeploymentSpec     `yaml:"spec"`

	// Raw is the document as read.
	Raw []byte `yaml:"-"`
}

// Retired says what became of fields of earlier releases.
func (ApplicationDeployment) Retired(field string) string {
	if field == "kind" || field == "apiVersion" {
		return "removed in Margo 1.0.0-rc.2: delete it, the media type says what the document is"
	}
	return ""
}

// DeploymentMetadata names the deployment and its device.
type DeploymentMetadata struct {
	Name      string            `yaml:"name"`      // a Kubernetes name
	Namespace string            `yaml:"namespace"` // a Kubernetes namespace
	DeviceID  string            `yaml:"deviceId"`  // id[/id...]; a last segment * lets the gateway choose
	Labels    map[string]string `yaml:"labels,omitempty"`
}

// Retired says what became of fields of earlier releases.
func (DeploymentMetadata) Retired(field string) string {
	if field == "annotations" {
		return "removed in Margo 1.0.0-rc.2: annotations.id is now the top-level id, annotations.applicationId is spec.applicationId"
	}
	return ""
}

// DeploymentSpec is the chosen profile and the values of its parameters.
type DeploymentSpec struct {
	ApplicationID     string               `yaml:"applicationId"` // the description's id
	DeploymentProfile DeployedProfile      `yaml:"deploymentProfile"`
	Parameters        map[string]Parameter `yaml:"parameters,omitempty"`
	Extensions        Extensions           `yaml:",inline"`
}

// Retired says what became of fields of earlier releases.
func (DeploymentSpec) Retired(field string) string {
	if field == "appPackageRef" {
		return "replaced in Margo 1.0.0-rc.2 by spec.applicationId"
	}
	return ""
}

// DeployedProfile is a [DeploymentProfile] without its id and description,
// which stay behind.
type DeployedProfile struct {
	Type              string             `yaml:"type"`
	Components        []Component        `yaml:"components"`
	DeviceConstraints *DeviceConstraints `yaml:"deviceConstraints,omitempty"`
	Extensions        Extensions         `yaml:",inline"`
}

// Retired says what became of fields of earlier releases.
func (DeployedProfile) Retired(field string) string {
	if field == "id" || field == "description" {
		return "belongs to the ApplicationDescription, delete it"
	}
	return retiredProfileField(field)
}

var (
	uuidText  = lazyregexp.New(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	dnsLabel  = lazyregexp.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	dnsName   = lazyregexp.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	deviceID  = lazyregexp.New(`^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$`)
	anyDevice = lazyregexp.New(`/\*$`)
	dotsOnly  = lazyregexp.New(`(^|/)\.{1,2}(/|$)`)
)

// maxDNSName is the longest Kubernetes object name (RFC 1123, 2.1); device ids
// are held to it, too, since they become names of files and TUF targets.
const maxDNSName = 253

// CheckDeviceID reports why id cannot be the id of one device:
// RFC 3986 unreserved characters in segments joined by "/" (Margo 1.0.0-rc.3,
// DeviceId), and no segment "." or "..".
func CheckDeviceID(id string) error {
	if len(id) > maxDNSName || !deviceID.MatchString(id) || dotsOnly.MatchString(id) {
		return reason.New(reason.Malformed, "device id %.80q must be letters, digits and . _ ~ - in segments joined by /, at most %d", id, maxDNSName)
	}
	return nil
}

func (d *ApplicationDeployment) normalise() {
	d.Spec.Extensions.normalise()
	d.Spec.DeploymentProfile.Extensions.normalise()
	d.Spec.DeploymentProfile.DeviceConstraints.normalise()
	normaliseComponents(d.Spec.DeploymentProfile.Components)
	normaliseParameters(d.Spec.Parameters)
}

func (d *ApplicationDeployment) validate(p *problems) {
	if !uuidText.MatchString(d.ID) {
		p.add("id: %.80q is not a UUID in lower case", d.ID)
	}
	d.Metadata.validate(p)
	if !applicationID.MatchString(d.Spec.ApplicationID) {
		p.add("spec.applicationId: %.80q must be 1 to 200 lower-case letters, digits and dashes", d.Spec.ApplicationID)
	}
	profile := &d.Spec.DeploymentProfile
	validateProfileParts(p, "spec.deploymentProfile", profile.Type, profile.Components, profile.DeviceConstraints)
	types := map[string][]string{}
	for _, c := range profile.Components {
		types[c.Name] = []string{profile.Type}
	}
	checker := parameterChecker{p: p, types: types, owner: map[place]string{}}
	for _, name := range sortedKeys(d.Spec.Parameters) {
		if d.Spec.Parameters[name].Value == nil {
			p.add("parameters.%s: value is missing", shortName(name))
		}
		checker.check(name, d.Spec.Parameters[name])
	}
}

func (m *DeploymentMetadata) validate(p *problems) {
	if len(m.Name) > maxDNSName || !dnsName.MatchString(m.Name) {
		p.add("metadata.name: %.80q is not a Kubernetes name (lower-case letters, digits, dashes and dots)", m.Name)
	}
	if !dnsLabel.MatchString(m.Namespace) {
		p.add("metadata.namespace: %.80q is not a Kubernetes namespace (lower-case letters, digits and dashes, at most 63)", m.Namespace)
	}
	if err := CheckDeviceID(anyDevice.ReplaceAllString(m.DeviceID, "")); err != nil {
		p.add("metadata.deviceId: %.80q is not a device id", m.DeviceID)
	}
}

// ComponentValues is the environment of a Compose component: the variable
// names that parameters point to, with the values as text. Numbers are in
// shortest decimal notation, booleans are true or false.
func (d *ApplicationDeployment) ComponentValues(component string) map[string]string {
	values := map[string]string{}
	for _, p := range d.Spec.Parameters {
		for _, t := range p.Targets {
			if slices.Contains(t.Components, component) {
				values[t.Pointer] = text(p.Value)
			}
		}
	}
	return values
}

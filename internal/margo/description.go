package margo

// ApplicationDescription describes an application and the ways to deploy it.
// Field meanings are those of Margo 1.0.0-rc.3, Application Description.
type ApplicationDescription struct {
	APIVersion         string               `yaml:"apiVersion"` // always "v1"
	ID                 string               `yaml:"id"`         // ^[a-z0-9-]{1,200}$
	Metadata           Metadata             `yaml:"metadata"`
	DeploymentProfiles []DeploymentProfile  `yaml:"deploymentProfiles"`
	Parameters         map[string]Parameter `yaml:"parameters"`
	Configuration      *Configuration       `yaml:"configuration"`
	Extensions         Extensions           `yaml:",inline"` // for the fleet manager only

	// Raw is the document as read.
	Raw []byte `yaml:"-"`
}

// Retired says what became of fields of earlier releases.
func (ApplicationDescription) Retired(field string) string {
	if field == "kind" {
		return "removed in Margo 1.0.0-rc.2: delete it, the file name and media type say what the document is"
	}
	return ""
}

// Metadata is what a description says about the application.
type Metadata struct {
	Name        string  `yaml:"name"` // for display
	Description string  `yaml:"description"`
	Version     string  `yaml:"version"` // an OCI tag, the one the package is published under
	Catalog     Catalog `yaml:"catalog"`
}

// Retired says what became of fields of earlier releases.
func (Metadata) Retired(field string) string {
	if field == "id" {
		return "moved in Margo 1.0.0-rc.2: write it as the top-level id"
	}
	return ""
}

// Catalog is what a catalogue shows.
type Catalog struct {
	Application  *CatalogApplication `yaml:"application"`
	Author       []Author            `yaml:"author"`
	Organization []Organization      `yaml:"organization"` // one or more
}

// CatalogApplication presents the application. The file fields are paths
// relative to the description, with or without a leading "./".
type CatalogApplication struct {
	DescriptionFile string   `yaml:"descriptionFile"`
	Icon            string   `yaml:"icon"`
	LicenseFile     string   `yaml:"licenseFile"`
	ReleaseNotes    string   `yaml:"releaseNotes"`
	Site            string   `yaml:"site"`
	Tagline         string   `yaml:"tagline"`
	Tags            []string `yaml:"tags"`
}

// Author is a person or group that made the application.
type Author struct {
	Name  string `yaml:"name"`
	Email string `yaml:"email"`
}

// Organization is who provides the application.
type Organization struct {
	Name string `yaml:"name"`
	Site string `yaml:"site"`
}

// DeploymentProfile is one way to deploy the application.
type DeploymentProfile struct {
	Type              string             `yaml:"type"` // "helm", "compose" or "custom"
	ID                string             `yaml:"id"`   // unique in the description
	Description       string             `yaml:"description"`
	Components        []Component        `yaml:"components"` // in the order of installation
	DeviceConstraints *DeviceConstraints `yaml:"deviceConstraints"`
	Extensions        Extensions         `yaml:",inline"` // for the device, carried unchanged
}

// Retired says what became of fields of earlier releases.
func (DeploymentProfile) Retired(field string) string { return retiredProfileField(field) }

func retiredProfileField(field string) string {
	if field == "requiredResources" {
		return "replaced in Margo 1.0.0-rc.2 by deviceConstraints: cpu, memory and storage go to its capacityRequirements, " +
			"peripherals and interfaces become eligibilityRules"
	}
	return ""
}

// The types of a profile.
const (
	TypeHelm    = "helm"
	TypeCompose = "compose"
	TypeCustom  = "custom"
)

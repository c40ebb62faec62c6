// Package sbom makes the software bill of materials of a bundle: a CycloneDX 1.6
// document with its package, components and images, each by its digest.
//
// What is inside an image it cannot know, and says so (compositions). The same
// bundle has the same document, wherever and whenever it is made: it has no time,
// and its serial number is made of the bundle's digest.
package sbom

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/distribution/reference"
	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
	"github.com/package-url/packageurl-go"

	"github.com/consign-dev/consign/internal/bundle"
)

// document is the part of CycloneDX 1.6 that is written.
type document struct {
	Format       string        `json:"bomFormat"`
	SpecVersion  string        `json:"specVersion"`
	SerialNumber string        `json:"serialNumber"`
	Version      int           `json:"version"`
	Metadata     metadata      `json:"metadata"`
	Components   []component   `json:"components"`
	Dependencies []dependency  `json:"dependencies"`
	Compositions []composition `json:"compositions"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Hashes  []hash `json:"hashes"`
	Purl    string `json:"purl"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

type composition struct {
	Aggregate  string   `json:"aggregate"`
	Assemblies []string `json:"assemblies"`
}

// Of returns the SBOM of a bundle with this digest.
func Of(b *bundle.Bundle, whole digest.Digest) (json.RawMessage, error) {
	serial := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://consign.dev/sbom/"+whole))
	doc := document{
		Format: "CycloneDX", SpecVersion: "1.6", SerialNumber: serial.URN(), Version: 1,
		Metadata: metadata{artifact("application", "bundle", b.Application, whole)},
	}
	doc.Metadata.Component.Version = b.Version
	doc.Components = append(doc.Components, artifact("data", "package", "package", b.Package.Digest))
	for _, c := range b.Components {
		doc.Components = append(doc.Components, artifact("application", "component:"+c.Name, c.Name, c.Manifest.Digest))
	}
	for _, i := range b.Images {
		one := artifact("container", "image:"+i.Reference, i.Reference, i.Manifest.Digest)
		one.Version, one.Purl = string(i.Manifest.Digest), Purl(i)
		doc.Components = append(doc.Components, one)
	}
	doc.Dependencies = []dependency{{Ref: "bundle"}}
	unknown := composition{Aggregate: "unknown"}
	for _, c := range doc.Components {
		doc.Dependencies[0].DependsOn = append(doc.Dependencies[0].DependsOn, c.Ref)
		if c.Type == "container" {
			unknown.Assemblies = append(unknown.Assemblies, c.Ref)
		}
	}
	doc.Compositions = []composition{{Aggregate: "complete", Assemblies: []string{"bundle"}}}
	if len(unknown.Assemblies) > 0 {
		doc.Compositions = append(doc.Compositions, unknown)
	}
	return json.Marshal(doc)
}

// artifact has a package URL of type oci, as all that is kept in a registry, whose
// version is the manifest's digest (purl specification, oci).
func artifact(kind, ref, name string, d digest.Digest) component {
	return component{Type: kind, Ref: ref, Name: name, Hashes: []hash{{"SHA-256", d.Encoded()}}, Purl: purl(strings.ToLower(name), d, nil)}
}

// Purl is the package URL of an image: its name, the digest of its manifest, and
// the repository and tag that components call it by.
func Purl(i bundle.Image) string {
	named, err := reference.ParseNormalizedNamed(i.Reference)
	if err != nil {
		return purl("image", i.Manifest.Digest, nil) // its digest says which it is
	}
	q := map[string]string{"repository_url": named.Name()}
	if tagged, ok := named.(reference.Tagged); ok {
		q["tag"] = tagged.Tag()
	}
	return purl(path.Base(named.Name()), i.Manifest.Digest, q)
}

func purl(name string, d digest.Digest, qualifiers map[string]string) string {
	return packageurl.NewPackageURL(packageurl.TypeOCI, "", name, string(d), packageurl.QualifiersFromMap(qualifiers), "").ToString()
}

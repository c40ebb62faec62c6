package sbom_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/sbom"
	"github.com/consign-dev/consign/policy"
)

var update = flag.Bool("update", false, "write the golden file")

func manifest(of string) ocispec.Descriptor { return ocispec.Descriptor{Digest: digest.FromString(of)} }

var line = bundle.Bundle{
	Application: "com-example-line-monitor", Version: "1.4.0", Package: manifest("package"),
	Components: []bundle.Component{{Name: "web", Manifest: manifest("web")}, {Name: "db", Manifest: manifest("db")}},
	Images: []bundle.Image{
		{Reference: "docker.io/library/nginx:1.27", Manifest: manifest("nginx")},
		{Reference: "registry.example:5000/acme/db@" + string(digest.FromString("db image")), Manifest: manifest("db image")},
		{Reference: "registry.example:5000/acme/reader:2", Manifest: manifest("reader")},
	},
}

// TestGolden: the same bundle has the same SBOM, which the CycloneDX project's own
// library and a policy read.
func TestGolden(t *testing.T) {
	got, err := sbom.Of(&line, digest.FromString("bundle"))
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/line-monitor.cdx.json"
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("%v; the SBOM is now\n%s", err, got)
	}
	if kind, err := policy.SBOMType(got); err != nil || kind != policy.CycloneDX {
		t.Errorf("a policy reads it as %q, %v", kind, err)
	}
}

func TestLibraryReadsIt(t *testing.T) {
	got, err := sbom.Of(&line, digest.FromString("bundle"))
	if err != nil {
		t.Fatal(err)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(got), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cyclonedx.SpecVersion1_6 || bom.Metadata.Component.Version != "1.4.0" || len(*bom.Components) != 6 {
		t.Errorf("%+v", bom)
	}
	// What the library does not know it drops: nothing may be missing.
	var again bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&again, cyclonedx.BOMFileFormatJSON).SetEscapeHTML(true).Encode(&bom); err != nil {
		t.Fatal(err)
	}
	count := func(data []byte) int { return strings.Count(string(data), `":`) }
	if count(again.Bytes()) != count(got) {
		t.Errorf("the library keeps %d of %d members:\n%s", count(again.Bytes()), count(got), &again)
	}
}

// TestEveryImageIsCovered is what a policy with "covers: images" asks.
func TestEveryImageIsCovered(t *testing.T) {
	got, err := sbom.Of(&line, digest.FromString("bundle"))
	if err != nil {
		t.Fatal(err)
	}
	about := policy.Subjects{Bundle: digest.FromString("bundle").Encoded()}
	for _, i := range line.Images {
		about.Images = append(about.Images, i.Manifest.Digest.Encoded())
	}
	who := policy.Identity{TrustedRoot: "public", Issuer: "https://token.example.com", Subject: "https://github.com/acme/app"}
	rule := policy.AttestationRule{
		Name: "contents", PredicateType: policy.CycloneDX, Threshold: 1, Identities: []policy.Identity{who}, SBOM: &policy.SBOMRule{Covers: policy.AboutImages},
	}
	a := policy.Attestation{
		Signers:       []policy.Signer{{TrustedRoot: who.TrustedRoot, Issuer: who.Issuer, Subject: who.Subject}},
		PredicateType: policy.CycloneDX, Subjects: []string{about.Bundle}, Predicate: got,
	}
	if _, err := rule.Check([]policy.Attestation{a}, about); err != nil {
		t.Error(err)
	}
}

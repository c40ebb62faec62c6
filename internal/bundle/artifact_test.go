package bundle_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
)

func blob(mediaType, content string) ocispec.Descriptor {
	return bundle.Describe(mediaType, []byte(content))
}

func samplePackage() bundle.Package {
	return bundle.Package{
		Description: blob(bundle.MediaTypeDescription, "apiVersion: v1"),
		Resources: []bundle.Resource{
			{Field: "metadata.catalog.application.icon", Path: "resources/icon.png",
				Layer: blob("application/vnd.margo.app.icon.v1+png", "png")},
			{Field: "metadata.catalog.application.licenseFile", Path: "LICENSE",
				Layer: blob("application/vnd.margo.app.licenseFile.v1+plain", "text")},
		},
	}
}

func sampleCompose() bundle.ComposeComponent {
	return bundle.ComposeComponent{Name: "web", Version: "1.4.0_build.7", Archive: blob(bundle.MediaTypeComposeArchive, "tgz")}
}

func sampleEvidence() bundle.Evidence {
	return bundle.Evidence{
		Subject:       imageIndex("bundle"),
		Layer:         blob(bundle.MediaTypeEvidence, "{}"),
		PredicateType: "https://sigstore.dev/cosign/sign/v1",
	}
}

func sampleState() bundle.DesiredState {
	return bundle.DesiredState{Deployments: []ocispec.Descriptor{
		blob(bundle.MediaTypeDeployment, "b"), blob(bundle.MediaTypeDeployment, "a"),
	}}
}

func samplePolicy() bundle.Policy {
	return bundle.Policy{
		Document: blob(bundle.MediaTypePolicyDocument, "policy"),
		Roots:    []bundle.Root{{Title: "acme.root.json", Layer: blob(bundle.MediaTypePolicyRoot, "acme")}},
	}
}

// document is one of our manifests, seen as the pair of functions it has.
type document struct {
	build func() ([]byte, ocispec.Descriptor, error)
	parse func([]byte) (any, error)
	want  any
}

func documents() map[string]document {
	pkg, compose, evidence, state, empty, policy := samplePackage(), sampleCompose(), sampleEvidence(), sampleState(), bundle.DesiredState{}, samplePolicy()
	return map[string]document{
		"package": {func() ([]byte, ocispec.Descriptor, error) { return bundle.BuildPackage(pkg) },
			func(b []byte) (any, error) { return bundle.ParsePackage(b) }, &pkg},
		"compose": {func() ([]byte, ocispec.Descriptor, error) { return bundle.BuildComposeComponent(compose) },
			func(b []byte) (any, error) { return bundle.ParseComposeComponent(b) }, &compose},
		"evidence": {func() ([]byte, ocispec.Descriptor, error) { return bundle.BuildEvidence(evidence) },
			func(b []byte) (any, error) { return bundle.ParseEvidence(b) }, &evidence},
		"state": {func() ([]byte, ocispec.Descriptor, error) { return bundle.BuildDesiredState(state) },
			func(b []byte) (any, error) { return bundle.ParseDesiredState(b) }, &state},
		"empty state": {func() ([]byte, ocispec.Descriptor, error) { return bundle.BuildDesiredState(empty) },
			func(b []byte) (any, error) { return bundle.ParseDesiredState(b) }, &empty},
		"policy": {func() ([]byte, ocispec.Descriptor, error) { return bundle.BuildPolicy(policy) },
			func(b []byte) (any, error) { return bundle.ParsePolicy(b) }, &policy},
	}
}

func TestEveryDocumentReadsBackAsItWasBuilt(t *testing.T) {
	for name, doc := range documents() {
		data, d, err := doc.build()
		if err != nil {
			t.Errorf("%s: build: %v", name, err)
			continue
		}
		if d.Digest != bundle.Describe("", data).Digest || d.MediaType != ocispec.MediaTypeImageManifest || d.ArtifactType == "" {
			t.Errorf("%s: descriptor %+v", name, d)
		}
		got, err := doc.parse(data)
		if err != nil || !reflect.DeepEqual(got, doc.want) {
			t.Errorf("%s: read %+v (%v)\nwant %+v", name, got, err, doc.want)
		}
	}
}

// What is true of every manifest of ours, whatever its kind.
func TestEveryDocumentRefusesWhatIsNotItsOwn(t *testing.T) {
	for kind, doc := range documents() {
		data, _, err := doc.build()
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(m map[string]any){
			"unknown field":       func(m map[string]any) { m["extra"] = 1 },
			"index as well":       func(m map[string]any) { m["manifests"] = []any{} },
			"other artifact type": func(m map[string]any) { m["artifactType"] = "x/y" },
			"other media type":    func(m map[string]any) { m["mediaType"] = ocispec.MediaTypeImageIndex },
			"no layers":           func(m map[string]any) { m["layers"] = []any{} },
			"other config":        func(m map[string]any) { m["config"].(map[string]any)["size"] = 3 },
			"config with content": func(m map[string]any) { m["config"].(map[string]any)["data"] = "e30K" },
			"layer of another type": func(m map[string]any) {
				m["layers"].([]any)[0].(map[string]any)["mediaType"] = ocispec.MediaTypeImageLayer
			},
			"layer with urls": func(m map[string]any) {
				m["layers"].([]any)[0].(map[string]any)["urls"] = []any{"http://example.com"}
			},
			"layer too large": func(m map[string]any) { m["layers"].([]any)[0].(map[string]any)["size"] = int64(1) << 40 },
			"layer with sha512": func(m map[string]any) {
				m["layers"].([]any)[0].(map[string]any)["digest"] = "sha512:00"
			},
		} {
			if kind == "empty state" && name == "layer with urls" {
				continue
			}
			var m map[string]any
			if err := json.Unmarshal(data, &m); err != nil {
				t.Fatal(err)
			}
			change(m)
			edited, _ := json.Marshal(m)
			if _, err := doc.parse(edited); !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge) {
				t.Errorf("%s: %s: got %v, want malformed or too-large", kind, name, err)
			}
		}
	}
}

// Attack O5: no annotation of a package may lead a tool that writes files astray.
func TestPackageTitlesStayInside(t *testing.T) {
	for _, path := range []string{"", ".", "..", "../icon.png", "/icon.png", "a/../../icon.png", "./icon.png", "a//b.png", `a\b.png`, "C:icon.png", "a\x00.png"} {
		p := samplePackage()
		p.Resources[0].Path = path
		_, _, err := bundle.BuildPackage(p)
		wantRefusal(t, err, reason.Malformed, "path")
	}
}

func TestPackageRefusesOtherResources(t *testing.T) {
	p := samplePackage()
	p.Resources[1] = p.Resources[0]
	_, _, err := bundle.BuildPackage(p)
	wantRefusal(t, err, reason.Malformed, "twice")
	p = samplePackage()
	p.Resources[0].Field = "metadata.name"
	_, _, err = bundle.BuildPackage(p)
	wantRefusal(t, err, reason.Malformed, "not a member")
}

func TestResourceMediaType(t *testing.T) {
	for file, want := range map[string]string{
		"icon.PNG": "png", "photo.jpg": "jpeg", "notes.md": "markdown", "LICENSE": "plain", "a.txt": "plain",
		"manual.pdf": "pdf", "odd.é": "octet-stream",
	} {
		if got := bundle.ResourceMediaType("icon", file); got != "application/vnd.margo.app.icon.v1+"+want {
			t.Errorf("%s: %s", file, got)
		}
	}
}

// Other tools write Margo's annotations on the manifest alone and add their own.
func TestComposeComponentOfAnotherTool(t *testing.T) {
	const oras = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
	"artifactType":"application/vnd.org.margo.component.compose+json",
	"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},
	"layers":[{"mediaType":"application/vnd.org.margo.component.compose.tar+gzip","digest":"sha256:3333333333333333333333333333333333333333333333333333333333333333","size":1024,"annotations":{"org.opencontainers.image.title":"stack.tar.gz"}}],
	"annotations":{"org.margo.component.type":"compose","org.margo.component.version":"1.0.0","org.opencontainers.image.created":"2026-01-01T00:00:00Z"}}`
	c, err := bundle.ParseComposeComponent([]byte(oras))
	if err != nil || c.Version != "1.0.0" || c.Name != "" {
		t.Errorf("%+v %v", c, err)
	}
	_, err = bundle.ParseComposeComponent(bytes.Replace([]byte(oras), []byte(`"org.margo.component.type":"compose",`), nil, 1))
	wantRefusal(t, err, reason.Malformed, "org.margo.component.type")
	twice := bytes.Replace([]byte(oras), []byte(`"org.opencontainers.image.title"`), []byte(`"org.margo.component.version":"2.0.0","x"`), 1)
	_, err = bundle.ParseComposeComponent(twice)
	wantRefusal(t, err, reason.Malformed, `"2.0.0" on the layer`)
}

func TestDesiredStateRefusesADeploymentTwice(t *testing.T) {
	s := sampleState()
	s.Deployments[1] = s.Deployments[0]
	_, _, err := bundle.BuildDesiredState(s)
	wantRefusal(t, err, reason.Malformed, "twice")
}

func TestPolicyRoots(t *testing.T) {
	p := samplePolicy()
	p.Roots = append(p.Roots, bundle.Root{Title: "aaa.json", Layer: blob(bundle.MediaTypePolicyRoot, "aaa")})
	data, _, err := bundle.BuildPolicy(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := bundle.ParsePolicy(data)
	if err != nil || got.Roots[0].Title != "aaa.json" {
		t.Errorf("not sorted: %+v %v", got, err)
	}
	if _, ok := got.Root("acme.root.json"); !ok {
		t.Error("root not found by its title")
	}
	for _, title := range []string{"", "policy.yaml", "../x", ".hidden", "acme.root.json"} {
		bad := p
		bad.Roots = append([]bundle.Root{{Title: title, Layer: p.Roots[0].Layer}}, p.Roots...)
		_, _, err := bundle.BuildPolicy(bad)
		wantRefusal(t, err, reason.Malformed, "root")
	}
}

// TestEvidenceOfAnotherTool: cosign annotates its evidence with the time. It can be
// listed, and no device reads it.
func TestEvidenceOfAnotherTool(t *testing.T) {
	data, _, err := bundle.BuildEvidence(sampleEvidence())
	if err != nil {
		t.Fatal(err)
	}
	annotated := bytes.Replace(data, []byte(`"annotations":{`), []byte(`"annotations":{"org.opencontainers.image.created":"2026-01-01T00:00:00Z",`), 1)
	if _, err := bundle.ParseEvidence(annotated); !reason.Is(err, reason.Malformed) {
		t.Errorf("ParseEvidence: %v", err)
	}
	got, err := bundle.ParseReferrer(annotated)
	if err != nil || got.PredicateType != sampleEvidence().PredicateType || got.Layer.Digest != sampleEvidence().Layer.Digest {
		t.Errorf("ParseReferrer: %+v, %v", got, err)
	}
	for name, edited := range map[string][]byte{
		"no DSSE":     bytes.Replace(annotated, []byte("dsse-envelope"), []byte("message-signature"), 1),
		"no layer":    bytes.Replace(annotated, []byte(`"layers":[{`), []byte(`"layers":[],"x":[{`), 1),
		"not our own": []byte(`{}`),
	} {
		if _, err := bundle.ParseReferrer(edited); !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package pack_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/composefile"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
)

func TestPackMakesAClosedBundle(t *testing.T) {
	s := newSource(t).withLocalImage()
	r, out := s.mustPack(nil)
	checkClosed(t, out, r.Descriptor)
	if r.Bundle.Application != "line-monitor" || r.Bundle.Version != "1.4.0" || r.Descriptor.ArtifactType != bundle.MediaTypeBundle {
		t.Errorf("%+v %+v", r.Descriptor, r.Bundle)
	}
	if i := imageOf(t, r, "acme/web:1.0"); i.Reference != "docker.io/acme/web:1.0" || i.Manifest.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("%+v", i)
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings %q", r.Warnings)
	}
	refs, err := out.Index()
	if err != nil || len(refs) != 1 || refs[0].Digest != r.Descriptor.Digest {
		t.Errorf("index.json lists %+v %v", refs, err)
	}
	if s.lock() != "" {
		t.Errorf("pinned although nothing came from a registry: %s", s.lock())
	}
}

func TestPackKeepsMargoYAMLByteForByte(t *testing.T) {
	s := newSource(t).withLocalImage()
	odd := strings.ReplaceAll("# a note  \n"+margoYAML, "\n", "\r\n")
	s.write("margo.yaml", odd)
	r, out := s.mustPack(nil)
	data, err := out.Bytes(r.Bundle.Package, bundle.MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	p, err := bundle.ParsePackage(data)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := out.Bytes(p.Description, bundle.MaxDocumentBytes); err != nil || string(got) != odd {
		t.Errorf("packed %q %v", got, err)
	}
	if len(p.Resources) != 2 || p.Resources[0].Path != "resources/icon.png" || p.Resources[1].Path != "LICENSE" {
		t.Errorf("resources %+v", p.Resources)
	}
}

func TestComponentHoldsItsSource(t *testing.T) {
	r, out := newSource(t).withLocalImage().mustPack(nil)
	web, _ := r.Bundle.Component("web")
	data, err := out.Bytes(web.Manifest, bundle.MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	c, err := bundle.ParseComposeComponent(data)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := out.Bytes(c.Archive, bundle.MaxArchiveBytes)
	if err != nil {
		t.Fatal(err)
	}
	files, err := composefile.Unpack(archive)
	if err != nil || string(files["compose.yaml"]) != composeYAML || string(files["conf/site.conf"]) != "listen 80" {
		t.Errorf("%v %v", files, err)
	}
	if c.Name != "web" || c.Version != "1.4.0" {
		t.Errorf("%+v", c)
	}
}

// Two machines differ in clocks, umasks, paths and the order in which files
// were made; none of that may reach the digest.
func TestSameInputSameDigest(t *testing.T) {
	one, _ := newSource(t).withLocalImage().mustPack(nil)

	defer syscall.Umask(syscall.Umask(0o077))
	other := newSource(t).withLocalImage()
	old := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	err := filepath.WalkDir(other.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		if err == nil {
			err = os.Chtimes(path, old, old)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	two, _ := other.mustPack(nil)
	if one.Descriptor.Digest != two.Descriptor.Digest {
		t.Errorf("%s and %s", one.Descriptor.Digest, two.Descriptor.Digest)
	}
	other.replace("components/web/compose.yaml", "GREETING: ", "GREETING:  ")
	three, _ := other.mustPack(nil)
	if three.Descriptor.Digest == one.Descriptor.Digest {
		t.Error("other input, same digest")
	}
}

// Neither may time: a new release of Consign, or of Go, gives an unchanged
// package the digest that it always had. Change the digest only together with
// the format.
func TestDigestOfTheSampleStays(t *testing.T) {
	const want = "sha256:270b5c06bcdba8182395c5c21d587dbbb79ba7ee9a85a63b8e2d82a9c3450c9e"
	if r, _ := newSource(t).withLocalImage().mustPack(nil); r.Descriptor.Digest != want {
		t.Errorf("digest %s, want %s", r.Descriptor.Digest, want)
	}
}

func TestPackIntoAFilledLayoutListsTheNewBundleAlone(t *testing.T) {
	s := newSource(t).withLocalImage()
	first, out := s.mustPack(nil)
	s.replace("margo.yaml", "version: 1.4.0", "version: 1.5.0")
	second, _ := s.mustPack(func(o *pack.Options) { o.Out = out })
	refs, err := out.Index()
	if err != nil || len(refs) != 1 || refs[0].Digest != second.Descriptor.Digest || first.Descriptor.Digest == second.Descriptor.Digest {
		t.Errorf("%+v %v", refs, err)
	}
}

func TestOneComponentInTwoProfilesIsPackedOnce(t *testing.T) {
	s := newSource(t).withLocalImage()
	again := `  - type: compose
    id: again
    components:
      - name: web
        properties:
          repository: oci://registry.example.com/compose/web
          revision: 1.4.0
parameters:`
	s.replace("margo.yaml", "parameters:", again)
	r, _ := s.mustPack(nil)
	if len(r.Bundle.Components) != 1 {
		t.Errorf("%+v", r.Bundle.Components)
	}
	s.replace("margo.yaml", "id: again\n    components:\n      - name: web\n        properties:\n          repository: oci://registry.example.com/compose/web\n          revision: 1.4.0",
		"id: again\n    components:\n      - name: web\n        properties:\n          repository: oci://registry.example.com/compose/web\n          revision: 1.4.1")
	_, _, err := s.pack(nil)
	wantRefusal(t, err, reason.Malformed, "another type, repository or revision")
}

func TestPackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*source)
		code   reason.Code
		text   string
	}{
		"no margo.yaml": {func(s *source) { _ = os.Remove(s.path("margo.yaml")) }, reason.Malformed, "has no margo.yaml"},
		"broken margo.yaml": {func(s *source) { s.replace("margo.yaml", "id: line-monitor", "id: Line Monitor") },
			reason.Malformed, "id"},
		"a profile of another type": {func(s *source) {
			s.replace("margo.yaml", "parameters:", "  - type: custom\n    id: charts\n    components:\n      - name: chart\n        properties:\n          repository: oci://registry.example.com/charts/c\n          revision: 1.0.0\n    deviceConstraints:\n      eligibilityRules:\n        - labelSelector:\n            matchExpressions:\n              - {key: a, operator: In, values: [b]}\nparameters:")
		}, reason.Malformed, `profile "charts" is of type custom`},
		"resource outside": {func(s *source) { s.replace("margo.yaml", "./resources/icon.png", "../icon.png") }, reason.Malformed, "icon"},
		"resource by a link to the outside": {func(s *source) {
			s.write("../secret.png", "secret")
			_ = os.Remove(s.path("resources/icon.png"))
			_ = os.Symlink(s.path("../secret.png"), s.path("resources/icon.png"))
		}, "", "icon"},
		"resource missing": {func(s *source) { _ = os.Remove(s.path("LICENSE")) }, "", "metadata.catalog.application.licenseFile"},
		"resource that is a directory": {func(s *source) { s.replace("margo.yaml", "./resources/icon.png", "./resources") },
			reason.Path, "not a regular file"},
		"component without compose.yaml": {func(s *source) { _ = os.Remove(s.path("components/web/compose.yaml")) }, "", "component web"},
		"component that is a file": {func(s *source) {
			_ = os.RemoveAll(s.path("components/web"))
			s.write("components/web", "x")
		}, reason.Path, "not a directory"},
		"component with a link": {func(s *source) { _ = os.Symlink("/etc/passwd", s.path("components/web/passwd")) },
			reason.Archive, "passwd"},
		"build": {func(s *source) { s.replace("components/web/compose.yaml", "image: acme/web:1.0", "build: .") },
			reason.Render, "build"},
		"image by a parameter": {func(s *source) { s.replace("components/web/compose.yaml", "acme/web:1.0", "acme/web:${GREETING}") },
			reason.ImageUnpinned, `depends on parameter variable "GREETING"`},
		"image by a parameter inside a default": {func(s *source) {
			s.replace("components/web/compose.yaml", "acme/web:1.0", "acme/web:${TAG:-${GREETING}}")
		}, reason.ImageUnpinned, "GREETING"},
		"image volume by a parameter": {func(s *source) {
			s.write("components/web/compose.yaml", composeYAML+"    volumes:\n      - {type: image, source: \"acme/data:${GREETING}\", target: /data}\n")
		}, reason.ImageUnpinned, "GREETING"},
		"broken reference": {func(s *source) { s.replace("components/web/compose.yaml", "acme/web:1.0", "ACME/Web:1.0") },
			reason.Malformed, "ACME/Web"},
		"local image under another digest": {func(s *source) {
			s.replace("components/web/compose.yaml", "acme/web:1.0", "acme/web:1.0@sha256:"+strings.Repeat("0", 64))
		}, reason.DigestMismatch, "images/web has docker.io/acme/web:1.0 with digest"},
		"two local images of one name": {func(s *source) {
			i := newImage(s.t, s.path("images/second"))
			i.name(i.index("other"), ocispec.AnnotationRefName, "docker.io/acme/web:1.0")
		}, reason.Malformed, "two images of that name"},
		"local image with a blob changed": {func(s *source) {
			i := newImage(s.t, s.path("images/web"))
			layer := i.put(ocispec.MediaTypeImageLayer, layerOf("webamd64"))
			s.write("images/web/blobs/sha256/"+layer.Digest.Encoded(), string(layerOf("WEBamd64")))
		}, reason.DigestMismatch, "image docker.io/acme/web:1.0 of component web"},
		"local image with a blob missing": {func(s *source) {
			i := newImage(s.t, s.path("images/web"))
			layer := i.put(ocispec.MediaTypeImageLayer, layerOf("webarm64"))
			_ = os.Remove(s.path("images/web/blobs/sha256/" + layer.Digest.Encoded()))
		}, "", "no such file"},
		"an image of no platform": {func(s *source) {
			i := newImage(s.t, s.path("images/web"))
			i.name(i.indexOf(i.manifest("x", "amd64")), ocispec.AnnotationRefName, "acme/web:1.0")
		}, reason.Platform, "offers no Linux platform"},
		"something that is no image": {func(s *source) {
			i := newImage(s.t, s.path("images/web"))
			d := i.put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
				MediaType: ocispec.MediaTypeImageManifest, Config: i.put(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ocispec.Descriptor{},
			})
			i.name(d, ocispec.AnnotationRefName, "acme/web:1.0")
		}, reason.Malformed, "schemaVersion"},
		"an artifact in the place of an image": {func(s *source) {
			i := newImage(s.t, s.path("images/web"))
			i.name(i.put(ocispec.MediaTypeImageManifest, []byte(
				`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`,
			)), ocispec.AnnotationRefName, "acme/web:1.0")
		}, reason.Malformed, "not a container image"},
		"a layer that lies elsewhere": {func(s *source) {
			i := newImage(s.t, s.path("images/web"))
			layer := i.put(ocispec.MediaTypeImageLayer, layerOf("x"))
			layer.URLs = []string{"https://example.com/layer"}
			i.name(i.manifestOf("amd64", layer), ocispec.AnnotationRefName, "acme/web:1.0")
		}, reason.Malformed, "may not be distributed"},
		"broken layout":    {func(s *source) { s.write("images/web/index.json", "[]") }, reason.Malformed, "images/web"},
		"broken lock":      {func(s *source) { s.write(pack.LockFile, `{"lockVersion":2}`) }, reason.Malformed, "lockVersion"},
		"unreachable lock": {func(s *source) { _ = os.Symlink("margo.yaml", s.path(pack.LockFile)) }, "", "read pins"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t).withLocalImage()
			c.change(s)
			_, _, err := s.pack(nil)
			if c.code == "" {
				wantError(t, err, c.text)
				return
			}
			wantRefusal(t, err, c.code, c.text)
		})
	}
}

// A variable that no parameter sets is a constant of the file.
func TestImageMayUseAConstantVariable(t *testing.T) {
	s := newSource(t).withLocalImage()
	s.replace("components/web/compose.yaml", "acme/web:1.0", "acme/${NAME:-web}:1.0")
	r, _ := s.mustPack(nil)
	imageOf(t, r, "acme/web:1.0")
}

func TestZstdLayersAreMentioned(t *testing.T) {
	s := newSource(t)
	i := newImage(t, s.path("images"))
	layer := i.put(ocispec.MediaTypeImageLayerZstd, []byte("as good as any for packing"))
	i.name(i.manifestOf("amd64", layer), "io.containerd.image.name", "docker.io/acme/web:1.0")
	r, _ := s.mustPack(nil)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "zstd") {
		t.Errorf("%q", r.Warnings)
	}
	if p := imageOf(t, r, "acme/web:1.0").Manifest.Platform; p == nil || p.Architecture != "amd64" {
		t.Errorf("platform %+v", p)
	}
}

// Attack O6, found by the supplier and not first by the device.
func TestTwoEntriesForOnePlatformAreMentioned(t *testing.T) {
	s := newSource(t)
	i := newImage(t, s.path("images"))
	var entries []ocispec.Descriptor
	for _, content := range []string{"one", "two"} {
		d := i.manifest(content, "amd64")
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
		entries = append(entries, d)
	}
	arm := i.manifest("arm", "arm64")
	arm.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	i.name(i.indexOf(append(entries, arm)...), ocispec.AnnotationRefName, "acme/web:1.0")
	r, _ := s.mustPack(nil)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "more than one entry for linux/amd64") {
		t.Errorf("%q", r.Warnings)
	}
}

func TestPlaces(t *testing.T) {
	s := newSource(t).withLocalImage()
	r, _ := s.mustPack(func(o *pack.Options) { o.Channel = "registry.example.com/compose/releases" })
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "oci://registry.example.com/compose/line-monitor/web") {
		t.Errorf("%q", r.Warnings)
	}
	s.replace("margo.yaml", "oci://registry.example.com/compose/web", "oci://registry.example.com/compose/line-monitor/web")
	r, _ = s.mustPack(func(o *pack.Options) { o.Channel = "registry.example.com/compose/releases" })
	if len(r.Warnings) != 0 {
		t.Errorf("%q", r.Warnings)
	}
}

// What the author marks as secret is packed as a reference, and found where it
// would get into the open.
func TestSecretParameters(t *testing.T) {
	newSecret := func() *source {
		s := newSource(t).withLocalImage()
		s.replace("margo.yaml", "    id: ", "    x-consign-extensions: {secretParameters: [password]}\n    id: ")
		s.replace("margo.yaml", "\nparameters:\n", "\nparameters:\n  password: {targets: [{pointer: PASSWORD, components: [web]}]}\n")
		s.replace("components/web/compose.yaml", "services:\n", "secrets: {db: {environment: PASSWORD}}\nservices:\n")
		return s
	}
	newSecret().mustPack(nil)
	for name, c := range map[string]struct{ file, old, new, text string }{
		"default":       {"margo.yaml", "password: {targets", "password: {value: planted, targets", "has a value in the package"},
		"not marked":    {"margo.yaml", "    x-consign-extensions: {secretParameters: [password]}\n", "", `"PASSWORD" is not the variable of a secret parameter`},
		"interpolated":  {"components/web/compose.yaml", "services:\n", "services:\n  other: {image: \"acme/web:1.0\", command: [\"${PASSWORD}\"]}\n", "PASSWORD is secret"},
		"as image name": {"components/web/compose.yaml", "acme/web:1.0", "acme/web:${PASSWORD:-1.0}", "PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecret()
			s.replace(c.file, c.old, c.new)
			_, _, err := s.pack(nil)
			wantError(t, err, c.text)
			if strings.Contains(err.Error(), "planted") {
				t.Errorf("quotes the value: %v", err)
			}
		})
	}
}

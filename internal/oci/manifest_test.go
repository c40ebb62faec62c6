package oci

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

const zeros = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func TestParseDigestTakesOneForm(t *testing.T) {
	if _, err := ParseDigest(zeros); err != nil {
		t.Error(err)
	}
	// attack O11
	for _, s := range []string{
		"", "sha256:", zeros[7:], zeros[:70], zeros + "0", zeros + "\n", " " + zeros, "SHA256:" + zeros[7:],
		"sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("g", 64), "sha512:" + strings.Repeat("0", 128),
		"md5:" + strings.Repeat("0", 32), "sha256:" + strings.Repeat("/", 64), "sha256+b64:" + zeros[7:],
	} {
		if _, err := ParseDigest(s); !reason.Is(err, reason.Malformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func descriptorJSON(size int) string {
	return fmt.Sprintf(`{"mediaType":"application/octet-stream","digest":%q,"size":%d}`, zeros, size)
}

func TestChildren(t *testing.T) {
	d, index, img := descriptorJSON(3), ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest
	for _, c := range []struct {
		name, mediaType, manifest string
		want                      int // children, -1 for malformed
	}{
		{"image", img, `{"schemaVersion":2,"mediaType":"` + img + `","config":` + d + `,"layers":[` + d + `,` + d + `]}`, 3},
		{"image without media type", img, `{"schemaVersion":2,"config":` + d + `,"layers":[]}`, 1},
		{"Docker image", MediaTypeDockerManifest, `{"schemaVersion":2,"mediaType":"` + MediaTypeDockerManifest + `","config":` + d + `,"layers":[` + d + `]}`, 2},
		{"index", index, `{"schemaVersion":2,"mediaType":"` + index + `","manifests":[` + d + `]}`, 1},
		{"unknown fields are allowed", index, `{"schemaVersion":2,"manifests":[],"org.example":{"a":1}}`, 0},
		{"subject is no child", img, `{"schemaVersion":2,"config":` + d + `,"layers":[],"subject":` + d + `}`, 1},

		// attack O4
		{"both kinds, as image", img, `{"schemaVersion":2,"config":` + d + `,"layers":[],"manifests":[]}`, -1},
		{"both kinds, as index", index, `{"schemaVersion":2,"config":` + d + `,"layers":[],"manifests":[]}`, -1},
		{"index with layers", index, `{"schemaVersion":2,"manifests":[],"layers":[]}`, -1},
		{"image with schema 1 layers", img, `{"schemaVersion":2,"config":` + d + `,"layers":[],"fsLayers":[]}`, -1},
		{"calls itself an image", index, `{"schemaVersion":2,"mediaType":"` + img + `","manifests":[]}`, -1},
		{"calls itself a number", index, `{"schemaVersion":2,"mediaType":7,"manifests":[]}`, -1},
		{"calls itself nothing", index, `{"schemaVersion":2,"mediaType":"","manifests":[]}`, -1},
		{"other case", index, `{"schemaVersion":2,"Manifests":[` + d + `],"manifests":[]}`, -1},
		{"other case in a descriptor", index, `{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"` + zeros + `","Digest":"` + zeros + `","size":1}]}`, -1},
		{"other case in a platform", index, strings.Replace(`{"schemaVersion":2,"manifests":[`+d+`]}`, `"size":3`, `"size":3,"platform":{"os":"linux","architecture":"arm","Architecture":"amd64"}`, 1), -1},
		{"folds to layers", img, `{"schemaVersion":2,"config":` + d + `,"layers":[],"layerſ":[]}`, -1},
		{"duplicate key", index, `{"schemaVersion":2,"manifests":[],"manifests":[` + d + `]}`, -1},
		{"duplicate key in a descriptor", index, `{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"` + zeros + `","size":1,"size":2}]}`, -1},

		{"no list", index, `{"schemaVersion":2}`, -1},
		{"null list", index, `{"schemaVersion":2,"manifests":null}`, -1},
		{"null descriptor", index, `{"schemaVersion":2,"manifests":[null]}`, -1},
		{"no config", img, `{"schemaVersion":2,"layers":[]}`, -1},
		{"no layers", img, `{"schemaVersion":2,"config":` + d + `}`, -1},
		{"no schema version", index, `{"manifests":[]}`, -1},
		{"schema 1", index, `{"schemaVersion":1,"manifests":[]}`, -1},
		{"schema two as text", index, `{"schemaVersion":"2","manifests":[]}`, -1},
		{"negative size", index, `{"schemaVersion":2,"manifests":[` + descriptorJSON(-1) + `]}`, -1},
		{"huge size", index, `{"schemaVersion":2,"manifests":[` + descriptorJSON(1<<62) + `]}`, -1},
		{"fraction of a size", index, strings.Replace(`{"schemaVersion":2,"manifests":[`+d+`]}`, `"size":3`, `"size":3.5`, 1), -1},
		{"no media type", index, `{"schemaVersion":2,"manifests":[{"digest":"` + zeros + `","size":1}]}`, -1},
		{"upper case digest", index, strings.ReplaceAll(`{"schemaVersion":2,"manifests":[`+d+`]}`, zeros, "sha256:"+strings.Repeat("A", 64)), -1},
		{"path as digest", index, strings.ReplaceAll(`{"schemaVersion":2,"manifests":[`+d+`]}`, zeros, "sha256:../../etc/passwd"), -1},
		{"array", index, `[]`, -1},
		{"nothing", index, ``, -1},
		{"trailing data", index, `{"schemaVersion":2,"manifests":[]}{}`, -1},
		{"not a manifest", octets, `{"schemaVersion":2,"manifests":[]}`, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Children(c.mediaType, []byte(c.manifest))
			if c.want < 0 {
				if !reason.Is(err, reason.Malformed) {
					t.Fatalf("got %d children, error %v", len(got), err)
				}
				return
			}
			if err != nil || len(got) != c.want {
				t.Fatalf("got %d children, want %d, error %v", len(got), c.want, err)
			}
		})
	}
}

func TestChildrenIsBounded(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(descriptorJSON(1)+",", maxChildren+1), ",")
	if _, err := Children(ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[`+many+`]}`)); !reason.Is(err, reason.TooLarge) {
		t.Errorf("too many entries: %v", err)
	}
	if _, err := Children(ocispec.MediaTypeImageIndex, make([]byte, MaxManifestBytes+1)); !reason.Is(err, reason.TooLarge) {
		t.Errorf("too long: %v", err)
	}
	deep := `{"schemaVersion":2,"manifests":[],"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`
	if _, err := Children(ocispec.MediaTypeImageIndex, []byte(deep)); err == nil {
		t.Error("deep nesting was accepted")
	}
}

func TestManifestMediaType(t *testing.T) {
	d := descriptorJSON(3)
	for manifest, want := range map[string]string{
		`{"schemaVersion":2,"manifests":[]}`:                                                         ocispec.MediaTypeImageIndex,
		`{"schemaVersion":2,"config":` + d + `,"layers":[]}`:                                         ocispec.MediaTypeImageManifest,
		`{"schemaVersion":2,"mediaType":"` + MediaTypeDockerList + `","manifests":[]}`:               MediaTypeDockerList,
		`{"schemaVersion":2,"mediaType":"text/html","manifests":[]}`:                                 "",
		`{"schemaVersion":2,"mediaType":"` + MediaTypeDockerList + `","config":` + d + `}`:           "",
		`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}`: "",
	} {
		got, err := ManifestMediaType([]byte(manifest))
		if (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: %q, %v", manifest, got, err)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	for _, s := range []string{zeros, "", "sha256:", "sha512:00", "sha256:" + strings.Repeat("A", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDigest(s)
		if err == nil && (string(d) != s || d.Validate() != nil || d.Algorithm() != digest.SHA256) {
			t.Errorf("%q was accepted", s)
		}
	})
}

func FuzzChildren(f *testing.F) {
	d := descriptorJSON(3)
	for _, s := range []string{
		`{"schemaVersion":2,"config":` + d + `,"layers":[` + d + `]}`,
		`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[` + d + `]}`,
		`{"schemaVersion":2,"Manifests":null,"manifests":[null]}`, `[]`, ``, `{`, "\xff",
	} {
		for _, m := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, MediaTypeDockerList} {
			f.Add(m, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, mediaType string, manifest []byte) {
		children, err := Children(mediaType, manifest)
		if err != nil {
			if c := reason.Of(err); c != reason.Malformed && c != reason.TooLarge {
				t.Errorf("reason %q: %v", c, err)
			}
			return
		}
		for _, c := range children {
			if _, err := ParseDigest(string(c.Digest)); err != nil || c.Size < 0 || c.MediaType == "" {
				t.Errorf("child %+v", c)
			}
		}
		for _, other := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex} {
			if _, err := Children(other, manifest); err == nil && IsIndex(other) != IsIndex(mediaType) {
				t.Error("the document is both an image and an index")
			}
		}
	})
}

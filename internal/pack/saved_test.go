package pack

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/consign-dev/consign/internal/composefile/hostile"
	"github.com/consign-dev/consign/internal/reason"
)

// The library does not panic on what checkSaved lets through, and reads the
// config that was checked.
func FuzzCheckSaved(f *testing.F) {
	const config = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}`
	for _, manifest := range []string{`[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]`, `[{"Config":"c.json","RepoTags":null,"Layers":[]}]`, `null`, `[null]`,
		`[{"Config":"./c.json","Layers":["l.tar"],"LayerSources":{"sha256:00":{}}}]`} {
		f.Add(hostile.Tar(hostile.File("manifest.json", manifest), hostile.File("c.json", config), hostile.File("l.tar", string(hostile.Tar(hostile.File("x", "x"))))))
		f.Add(hostile.Tar(hostile.File("manifest.json", manifest), hostile.Special("l.tar", '2', "c.json"), hostile.File("c.json", config)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := checkSaved(bytes.NewReader(data)); err != nil {
			if reason.Of(err) == reason.Internal {
				t.Errorf("error without a reason: %v", err)
			}
			return
		}
		image, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, nil)
		if err != nil {
			return
		}
		if a, err := newArchiveImage(image); err == nil && int64(len(a.manifest)) != a.desc.Size {
			t.Errorf("%+v", a.desc)
		}
	})
}

package pack_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
)

// remoteSource is a package whose image lies in a registry.
func remoteSource(t *testing.T) (s *source, ref string, images image) {
	t.Helper()
	ref = registry(t) + "/acme/web:1.0"
	s = newSource(t)
	s.replace("components/web/compose.yaml", "acme/web:1.0", ref)
	return s, ref, newImage(t, t.TempDir())
}

func TestImageFromARegistryIsPinned(t *testing.T) {
	s, ref, images := remoteSource(t)
	repository := strings.TrimSuffix(ref, ":1.0")
	first := images.index("first")
	push(t, images.layout, first, repository, "1.0")
	r, out := s.mustPack(nil)
	checkClosed(t, out, r.Descriptor)
	if got := imageOf(t, r, ref).Manifest.Digest; got != first.Digest {
		t.Fatalf("packed %s", got)
	}
	want := "{\n  \"lockVersion\": 1,\n  \"images\": {\n    \"" + ref + "\": \"" + first.Digest.String() + "\"\n  }\n}\n"
	if s.lock() != want {
		t.Errorf("lock\n%s\nwant\n%s", s.lock(), want)
	}

	// Attack O1: the tag moves, the pin does not.
	push(t, images.layout, images.index("second"), repository, "1.0")
	for _, locked := range []bool{false, true} {
		again, _ := s.mustPack(func(o *pack.Options) { o.Locked = locked })
		if again.Descriptor.Digest != r.Descriptor.Digest {
			t.Errorf("locked %v: the bundle follows the tag", locked)
		}
	}
}

// A rehearsal says what would be pinned and leaves the file as it is; --locked
// refuses all the same.
func TestRehearsalLeavesTheLock(t *testing.T) {
	s, ref, images := remoteSource(t)
	push(t, images.layout, images.index("web"), strings.TrimSuffix(ref, ":1.0"), "1.0")
	rehearse := func(o *pack.Options) { o.Rehearse = true }
	r, _ := s.mustPack(rehearse)
	if s.lock() != "" || len(r.Pins) != 1 || r.Pins[0] != (pack.Pin{Name: ref, Digest: imageOf(t, r, ref).Manifest.Digest}) || len(r.Unpinned) != 0 {
		t.Errorf("lock %q, pins %v, unpinned %v", s.lock(), r.Pins, r.Unpinned)
	}
	if packed, _ := s.mustPack(nil); packed.Descriptor.Digest != r.Descriptor.Digest || s.lock() == "" {
		t.Error("what was rehearsed is not what is packed")
	}
	const gone = "docker.io/library/gone:1"
	s.replace(pack.LockFile, `"images": {`, `"images": {`+"\n    \""+gone+"\": \"sha256:"+strings.Repeat("0", 64)+`",`)
	before := s.lock()
	r, _ = s.mustPack(rehearse)
	if s.lock() != before || len(r.Pins) != 0 || len(r.Unpinned) != 1 || r.Unpinned[0] != gone {
		t.Errorf("lock %q, pins %v, unpinned %v", s.lock(), r.Pins, r.Unpinned)
	}
	_, _, err := s.pack(func(o *pack.Options) { o.Rehearse, o.Locked = true, true })
	wantError(t, err, gone)
}

func TestLockedResolvesNothing(t *testing.T) {
	s, ref, images := remoteSource(t)
	push(t, images.layout, images.index("web"), strings.TrimSuffix(ref, ":1.0"), "1.0")
	_, _, err := s.pack(func(o *pack.Options) { o.Locked = true })
	wantError(t, err, `"`+ref+`" is not pinned`)
	if s.lock() != "" {
		t.Error("wrote a lock")
	}
}

func TestPinsThatNothingNeedsAreDropped(t *testing.T) {
	s, ref, images := remoteSource(t)
	push(t, images.layout, images.index("web"), strings.TrimSuffix(ref, ":1.0"), "1.0")
	s.mustPack(nil)
	s.replace(pack.LockFile, `"images": {`, `"images": {`+"\n    \"docker.io/library/gone:1\": \"sha256:"+strings.Repeat("0", 64)+`",`)
	_, _, err := s.pack(func(o *pack.Options) { o.Locked = true })
	wantError(t, err, "docker.io/library/gone:1")
	s.mustPack(nil)
	if strings.Contains(s.lock(), "gone") || !strings.Contains(s.lock(), ref) {
		t.Errorf("lock %s", s.lock())
	}
}

func TestGivenImageThatDiffersFromItsPin(t *testing.T) {
	s, ref, images := remoteSource(t)
	push(t, images.layout, images.index("web"), strings.TrimSuffix(ref, ":1.0"), "1.0")
	s.mustPack(nil)
	pinned := s.lock()
	other := newImage(t, t.TempDir())
	mine := other.index("mine")
	other.name(mine, "x", "y")
	given := func(o *pack.Options) { o.Images = map[string]string{ref: "oci:" + other.layout.Dir()} }
	r, _ := s.mustPack(given)
	if imageOf(t, r, ref).Manifest.Digest != mine.Digest || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "pins") {
		t.Errorf("%+v %q", r.Bundle.Images, r.Warnings)
	}
	if s.lock() != pinned {
		t.Errorf("the pin changed: %s", s.lock())
	}
	_, _, err := s.pack(func(o *pack.Options) { given(o); o.Locked = true })
	wantError(t, err, "--locked allows no difference")
}

func TestImageByDigestNeedsNoPin(t *testing.T) {
	s, ref, images := remoteSource(t)
	d := images.index("web")
	push(t, images.layout, d, strings.TrimSuffix(ref, ":1.0"), "1.0")
	s.replace("components/web/compose.yaml", ref, ref+"@"+d.Digest.String())
	r, _ := s.mustPack(func(o *pack.Options) { o.Locked = true })
	if len(r.Bundle.Images) != 1 || s.lock() != "" {
		t.Errorf("%+v %q", r.Bundle.Images, s.lock())
	}
	// The same image may lie in images/ under any name.
	local := newImage(t, s.path("images/any"))
	local.name(local.index("web"), "x", "y")
	s.replace("components/web/compose.yaml", strings.Split(ref, "/")[0], "registry.invalid")
	s.mustPack(nil)
}

func TestMissingImageSaysWhereItWasLookedFor(t *testing.T) {
	s, _, _ := remoteSource(t)
	_, _, err := s.pack(nil)
	wantRefusal(t, err, reason.Unreachable, "neither given with --image nor in images/")
}

func TestPinOfARemovedImageSaysWhatToDo(t *testing.T) {
	s, ref, _ := remoteSource(t)
	s.write(pack.LockFile, `{"lockVersion":1,"images":{"`+ref+`":"sha256:`+strings.Repeat("0", 64)+`"}}`)
	_, _, err := s.pack(nil)
	wantRefusal(t, err, reason.Unreachable, "delete the line")
}

// published packs the sample and pushes its component, as a supplier would.
func published(t *testing.T, tag string) (repository string) {
	t.Helper()
	r, out := newSource(t).withLocalImage().mustPack(nil)
	web, _ := r.Bundle.Component("web")
	repository = registry(t) + "/compose/web"
	push(t, out, web.Manifest, repository, tag)
	return repository
}

func TestComponentFromARegistryIsPinnedAndCopiedAsItIs(t *testing.T) {
	repository := published(t, "1.4.0")
	s := newSource(t).withLocalImage()
	local, _ := s.mustPack(nil)
	_ = os.RemoveAll(s.path("components"))
	s.replace("margo.yaml", "registry.example.com/compose/web", repository)
	r, out := s.mustPack(nil)
	checkClosed(t, out, r.Descriptor)
	was, _ := local.Bundle.Component("web")
	is, _ := r.Bundle.Component("web")
	if is.Manifest.Digest != was.Manifest.Digest || is.Manifest.ArtifactType != bundle.MediaTypeCompose {
		t.Errorf("%+v, want %+v", is, was)
	}
	imageOf(t, r, "acme/web:1.0")
	if !strings.Contains(s.lock(), `"oci://`+repository+`:1.4.0": "`+is.Manifest.Digest.String()) {
		t.Errorf("lock %s", s.lock())
	}
}

func TestComponentOfAnotherVersionIsRefused(t *testing.T) {
	repository := published(t, "2.0.0")
	s := newSource(t).withLocalImage()
	_ = os.RemoveAll(s.path("components"))
	s.replace("margo.yaml", "registry.example.com/compose/web\n          revision: 1.4.0", repository+"\n          revision: 2.0.0")
	_, _, err := s.pack(nil)
	wantRefusal(t, err, reason.Malformed, `calls itself version "1.4.0"`)
}

func TestComponentThatIsAnImageIsRefused(t *testing.T) {
	images := newImage(t, t.TempDir())
	repository := registry(t) + "/compose/web"
	push(t, images.layout, images.index("web"), repository, "1.4.0")
	s := newSource(t)
	_ = os.RemoveAll(s.path("components"))
	s.replace("margo.yaml", "registry.example.com/compose/web", repository)
	_, _, err := s.pack(nil)
	wantRefusal(t, err, reason.Malformed, "not a component")
}

func TestPackedBundleCanBePushedAndReadBack(t *testing.T) {
	r, out := newSource(t).withLocalImage().mustPack(nil)
	repository := registry(t) + "/acme/line-monitor"
	push(t, out, r.Descriptor, repository, "bundle")
	repo, err := newClient(t).Repository(repository)
	if err != nil {
		t.Fatal(err)
	}
	_, data, err := repo.Manifest(t.Context(), r.Descriptor.Digest, oci.MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Parse(data); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(out.Dir(), "index.json")); err != nil {
		t.Error(err)
	}
}

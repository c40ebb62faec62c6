package pack_test

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/composefile/hostile"
	"github.com/consign-dev/consign/internal/reason"
)

const savedConfig = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%s]}}`

// savedBy writes an archive that "docker save" could have made but for what an
// attacker changed: its config has so many layers, and more comes behind.
func savedBy(layers, diffIDs int, more ...hostile.Entry) []byte {
	ids := make([]string, diffIDs)
	for i := range ids {
		ids[i] = fmt.Sprintf(`"sha256:%064x"`, i)
	}
	names := make([]string, layers)
	for i := range names {
		names[i] = "layer.tar"
	}
	list, _ := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{"acme/web:1.0"}, "Layers": names}})
	return hostile.Tar(append([]hostile.Entry{
		hostile.File("manifest.json", string(list)),
		hostile.File("config.json", fmt.Sprintf(savedConfig, strings.Join(ids, ","))),
		hostile.File("layer.tar", string(layerOf("x"))),
	}, more...)...)
}

func refuseSaved(t *testing.T, cases map[string]savedCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "saved.tar")
			if err := os.WriteFile(file, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := newSource(t).pack(given("docker-archive:" + file))
			wantRefusal(t, err, c.code, c.says)
		})
	}
}

type savedCase struct {
	data []byte
	code reason.Code
	says string
}

func TestAttackA1SavedImagePaths(t *testing.T) {
	refuseSaved(t, map[string]savedCase{
		"parent":   {savedBy(1, 1, hostile.File("../x", "x")), reason.Path, "outside the archive"},
		"absolute": {savedBy(1, 1, hostile.File("/etc/x", "x")), reason.Path, "outside the archive"},
	})
}

func TestAttackA2SavedImageLinks(t *testing.T) {
	refuseSaved(t, map[string]savedCase{
		"config is a link": {hostile.Tar(hostile.File("manifest.json", `[{"Config":"config.json","RepoTags":["a:1"],"Layers":[]}]`),
			hostile.Special("config.json", tar.TypeSymlink, "../../etc/shadow")), reason.Archive, "outside the archive"},
		"absolute link":   {savedBy(1, 1, hostile.Special("x", tar.TypeSymlink, "/etc/shadow")), reason.Archive, "outside the archive"},
		"hard link":       {savedBy(1, 1, hostile.Special("x", tar.TypeLink, "layer.tar")), reason.Archive, "neither a file"},
		"link to itself":  {hostile.Tar(hostile.Special("manifest.json", tar.TypeSymlink, "manifest.json")), reason.Archive, "no file"},
		"circle of links": {hostile.Tar(hostile.Special("manifest.json", tar.TypeSymlink, "b"), hostile.Special("b", tar.TypeSymlink, "manifest.json")), reason.Archive, "no file"},
	})
}

func TestAttackA3SavedImageDevices(t *testing.T) {
	refuseSaved(t, map[string]savedCase{
		"device": {savedBy(1, 1, hostile.Special("x", tar.TypeBlock, "")), reason.Archive, "neither a file"},
		"pipe":   {savedBy(1, 1, hostile.Special("x", tar.TypeFifo, "")), reason.Archive, "neither a file"},
	})
}

func TestAttackA4SavedImageBombs(t *testing.T) {
	many := make([]hostile.Entry, 60_000)
	for i := range many {
		many[i] = hostile.File(fmt.Sprint(i), "")
	}
	images := "[" + strings.Repeat(`{"Config":"config.json","RepoTags":null,"Layers":[]},`, 1000) + `{"Config":"config.json","RepoTags":null,"Layers":[]}]`
	refuseSaved(t, map[string]savedCase{
		"60 000 files":   {savedBy(1, 1, many...), reason.TooLarge, "entries"},
		"10 000 layers":  {savedBy(10_000, 10_000), reason.TooLarge, "layers"},
		"many images":    {hostile.Tar(hostile.File("manifest.json", images), hostile.File("config.json", "{}")), reason.TooLarge, "images"},
		"large manifest": {hostile.Tar(hostile.File("manifest.json", strings.Repeat(" ", 5<<20))), reason.TooLarge, "manifest.json"},
		"large config": {hostile.Tar(hostile.File("manifest.json", `[{"Config":"c","RepoTags":null,"Layers":[]}]`),
			hostile.File("c", strings.Repeat(" ", 5<<20))), reason.TooLarge, "has 5242880 bytes"},
		"deep manifest": {hostile.Tar(hostile.File("manifest.json", strings.Repeat("[", 9000)+strings.Repeat("]", 9000))), reason.TooLarge, "deeper"},
		"deep config": {hostile.Tar(hostile.File("manifest.json", `[{"Config":"c","RepoTags":null,"Layers":[]}]`),
			hostile.File("c", strings.Repeat("[", 9000)+strings.Repeat("]", 9000))), reason.TooLarge, "deeper"},
	})
}

func TestAttackA5SavedImageTwice(t *testing.T) {
	refuseSaved(t, map[string]savedCase{
		"second config":           {savedBy(1, 1, hostile.File("config.json", "{}")), reason.Archive, "twice"},
		"second config, with dot": {savedBy(1, 1, hostile.File("./config.json", "{}")), reason.Archive, "twice"},
		"key twice":               {hostile.Tar(hostile.File("manifest.json", `[{"Config":"c","config":"d","Layers":[]}]`)), reason.Malformed, "config"},
	})
}

// The library indexes the list of layers by the layers of the config.
func TestAttackA10SavedImageThatPanics(t *testing.T) {
	refuseSaved(t, map[string]savedCase{
		"more in the config":  {savedBy(1, 2), reason.Malformed, "2 layers, manifest.json lists 1"},
		"fewer in the config": {savedBy(2, 1), reason.Malformed, "1 layers, manifest.json lists 2"},
		"null":                {hostile.Tar(hostile.File("manifest.json", "null")), reason.Malformed, "lists no image"},
		"null image":          {hostile.Tar(hostile.File("manifest.json", "[null]")), reason.Malformed, "null"},
		"number":              {hostile.Tar(hostile.File("manifest.json", `[{"Config":1}]`)), reason.Malformed, "manifest.json"},
		"no image":            {hostile.Tar(hostile.File("manifest.json", `[]`)), reason.Malformed, "lists no image"},
		"config of a list":    {hostile.Tar(hostile.File("manifest.json", `[{"Config":"c","Layers":[]}]`), hostile.File("c", `[]`)), reason.Malformed, "image config"},
	})
}

// Attack T27: the config of an image says which platform it is for and how many
// layers it has, to a reader that tells "os" from "OS" and to one that does not.
func TestAttackT27ConfigHasOneReading(t *testing.T) {
	refuseSaved(t, map[string]savedCase{
		"two counts of layers": {hostile.Tar(hostile.File("manifest.json", `[{"Config":"c","Layers":[]}]`),
			hostile.File("c", `{"rootfs":{"diff_ids":["sha256:00"]},"RootFS":{"diff_ids":[]}}`)), reason.Malformed, "RootFS"},
	})
	s := newSource(t)
	i := newImage(t, s.path("images"))
	i.name(i.put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    i.put(ocispec.MediaTypeImageConfig, []byte(`{"os":"windows","OS":"linux","architecture":"amd64"}`)),
		Layers:    []ocispec.Descriptor{},
	}), ocispec.AnnotationRefName, "acme/web:1.0")
	_, _, err := s.pack(nil)
	wantRefusal(t, err, reason.Malformed, "OS")
}

// Attack A4 on layouts: little that stands for much, by reference.
func TestAttackA4IndexesOfIndexes(t *testing.T) {
	// wide lists an image that a device can choose, and d so many times.
	wide := func(i image, d ocispec.Descriptor, times int) ocispec.Descriptor {
		usable := i.manifest("x", "amd64")
		usable.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
		return i.indexOf(append([]ocispec.Descriptor{usable}, slices.Repeat([]ocispec.Descriptor{d}, times)...)...)
	}
	for name, c := range map[string]struct {
		image func(i image) ocispec.Descriptor
		code  reason.Code
		says  string
	}{
		"10 000 layers": {func(i image) ocispec.Descriptor {
			layers := make([]ocispec.Descriptor, 10_000)
			for n := range layers {
				layers[n] = i.put(ocispec.MediaTypeImageLayer, []byte("x"))
			}
			return i.manifestOf("amd64", layers...)
		}, reason.TooLarge, "entries"},
		"10 000 entries": {func(i image) ocispec.Descriptor {
			d := i.manifest("x", "amd64")
			return i.indexOf(append(make([]ocispec.Descriptor, 10_000), d)...)
		}, reason.TooLarge, "entries"},
		"deep": {func(i image) ocispec.Descriptor {
			d := i.manifest("x", "amd64")
			for range 20 {
				d = wide(i, d, 1)
			}
			return d
		}, reason.Malformed, "deeper"},
		"platforms": {func(i image) ocispec.Descriptor {
			var entries []ocispec.Descriptor
			d := i.manifest("x", "amd64")
			for n := range 200 {
				d.Platform = &ocispec.Platform{OS: "linux", Architecture: fmt.Sprint("a", n)}
				entries = append(entries, d)
			}
			return i.indexOf(entries...)
		}, reason.TooLarge, "platforms"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t)
			i := newImage(t, s.path("images"))
			i.name(c.image(i), ocispec.AnnotationRefName, "acme/web:1.0")
			_, _, err := s.pack(nil)
			wantRefusal(t, err, c.code, c.says)
		})
	}
	// 4000 times 4000 times 4000 copies would not end; each is made once.
	t.Run("self-similar", func(t *testing.T) {
		s := newSource(t)
		i := newImage(t, s.path("images"))
		i.name(wide(i, wide(i, wide(i, i.manifest("y", "amd64"), 4000), 4000), 4000), ocispec.AnnotationRefName, "acme/web:1.0")
		s.mustPack(nil)
	})
}

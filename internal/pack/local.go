package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// imagesDir holds OCI layouts, or is one.
const imagesDir = "images"

// annotationContainerdName is where BuildKit and containerd write the full
// name of an image; they use ref.name for the tag alone.
const annotationContainerdName = "io.containerd.image.name"

// localImage is one entry of the index.json of a layout.
type localImage struct {
	names []string // normalised
	desc  ocispec.Descriptor
	from  *oci.Layout
	where string
}

// findLocal lists the images of the layouts in images/.
func findLocal(dir string) ([]localImage, error) {
	top := filepath.Join(dir, imagesDir)
	if isLayout(top) {
		return readLayout(top, imagesDir)
	}
	entries, err := os.ReadDir(top)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", imagesDir, err)
	}
	var all []localImage
	for _, e := range entries {
		sub := filepath.Join(top, e.Name())
		if !isLayout(sub) {
			continue
		}
		found, err := readLayout(sub, imagesDir+"/"+e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func isLayout(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ocispec.ImageLayoutFile))
	return err == nil
}

func readLayout(dir, where string) ([]localImage, error) {
	layout, err := oci.OpenLayout(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	entries, err := layout.Index()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	var images []localImage
	for _, d := range entries {
		images = append(images, localImage{names: namesOf(d), desc: d, from: layout, where: where})
	}
	return images, nil
}

func namesOf(d ocispec.Descriptor) []string {
	var names []string
	for _, key := range []string{ocispec.AnnotationRefName, annotationContainerdName} {
		if normal, err := bundle.NormalizeReference(d.Annotations[key]); err == nil {
			names = append(names, normal)
		}
	}
	return names
}

// fromLocal looks for an image in images/.
func (p *packer) fromLocal(ref string) (located, bool, error) {
	return pick(p.local, ref)
}

// pick chooses the image called ref. Several under that name must be the same.
func pick(images []localImage, ref string) (located, bool, error) {
	name, want := tagOf(ref), bundle.ReferenceDigest(ref)
	var found *localImage
	for n, i := range images {
		named := name != "" && slices.Contains(i.names, name)
		if want != "" && i.desc.Digest == want {
			found = &images[n]
			break
		}
		if !named {
			continue
		}
		if want != "" {
			return located{}, false, reason.New(reason.DigestMismatch, "%s has %s with digest %s", i.where, name, i.desc.Digest)
		}
		if found != nil && found.desc.Digest != i.desc.Digest {
			return located{}, false, reason.New(reason.Malformed, "two images of that name: %s in %s and %s in %s",
				found.desc.Digest, found.where, i.desc.Digest, i.where)
		}
		found = &images[n]
	}
	if found == nil {
		return located{}, false, nil
	}
	return located{desc: found.desc, from: found.from, where: found.where}, true, nil
}

// tagOf is a normalised reference without its digest, "" if it has no tag.
func tagOf(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	tagged, ok := named.(reference.Tagged)
	if !ok {
		return ""
	}
	return reference.TrimNamed(named).String() + ":" + tagged.Tag()
}

package pack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// archiveImage lends the content of an image in a "docker save" archive. Such
// an archive has no manifest; go-containerregistry makes one and compresses
// the layers while they are read.
type archiveImage struct {
	image    v1.Image
	manifest []byte
	desc     ocispec.Descriptor
}

var _ oci.Source = (*archiveImage)(nil)

// fromArchive opens the only image of an archive, or the one called ref.
func fromArchive(file, ref string) (found located, err error) {
	defer func() {
		// The library indexes lists that it has not compared.
		if p := recover(); p != nil {
			found, err = located{}, reason.New(reason.Malformed, "read archive: not an image: %v", p)
		}
	}()
	if err := checkSavedFile(file); err != nil {
		return located{}, fmt.Errorf("read archive: %w", err)
	}
	list, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(file) })
	if err != nil {
		return located{}, fmt.Errorf("read archive: %w", err)
	}
	var tag *name.Tag
	if len(list) != 1 {
		t, err := name.NewTag(tagOf(ref))
		if err != nil {
			return located{}, reason.New(reason.Malformed, "%d images in the archive, and %s has no tag to choose by", len(list), ref)
		}
		tag = &t
	}
	image, err := tarball.ImageFromPath(file, tag)
	if err != nil {
		return located{}, fmt.Errorf("read archive: %w", err)
	}
	a, err := newArchiveImage(image)
	if err != nil {
		return located{}, fmt.Errorf("read archive: %w", err)
	}
	return located{desc: a.desc, from: a}, nil
}

func newArchiveImage(image v1.Image) (*archiveImage, error) {
	manifest, err := image.RawManifest()
	if err != nil {
		return nil, err
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return nil, err
	}
	desc := ocispec.Descriptor{MediaType: string(mediaType), Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	return &archiveImage{image: image, manifest: manifest, desc: desc}, nil
}

// Fetch implements oci.Source.
func (a *archiveImage) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if desc.Digest == a.desc.Digest {
		return io.NopCloser(bytes.NewReader(a.manifest)), nil
	}
	hash, err := v1.NewHash(string(desc.Digest))
	if err != nil {
		return nil, err
	}
	if config, err := a.image.ConfigName(); err == nil && config == hash {
		data, err := a.image.RawConfigFile()
		return io.NopCloser(bytes.NewReader(data)), err
	}
	layer, err := a.image.LayerByDigest(hash)
	if err != nil {
		return nil, err
	}
	return layer.Compressed()
}

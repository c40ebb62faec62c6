package bundle

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

// Describe returns the descriptor of data.
func Describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.SHA256.FromBytes(data), Size: int64(len(data))}
}

// checkDescriptor holds what is true of every descriptor: sha256 in its one
// canonical form (attack O11), a length to hold the bytes against, and no
// second place (urls, data) from which other bytes could come.
func checkDescriptor(where string, d ocispec.Descriptor, max int64) error {
	if d.Digest.Validate() != nil || d.Digest.Algorithm() != digest.SHA256 {
		return malformed("%s: digest %q: want sha256: and 64 lower-case hex digits", where, string(d.Digest))
	}
	if d.Size <= 0 {
		return malformed("%s: size %d: want more than 0 bytes", where, d.Size)
	}
	if d.Size > max {
		return reason.New(reason.TooLarge, "%s: size %d is over the limit of %d bytes", where, d.Size, max)
	}
	if len(d.URLs) > 0 || d.Data != nil {
		return malformed("%s: urls and data are not allowed", where)
	}
	return nil
}

// checkManifestEntry checks an index entry that names one of our artifacts.
func checkManifestEntry(where string, d ocispec.Descriptor, artifactTypes ...string) error {
	if err := checkDescriptor(where, d, MaxManifestBytes); err != nil {
		return err
	}
	if d.MediaType != ocispec.MediaTypeImageManifest {
		return malformed("%s: mediaType %q: want %s", where, d.MediaType, ocispec.MediaTypeImageManifest)
	}
	if !slices.Contains(artifactTypes, d.ArtifactType) {
		return malformed("%s: artifactType %q: want %s", where, d.ArtifactType, strings.Join(artifactTypes, " or "))
	}
	if d.Platform != nil {
		return malformed("%s: platform is only for images", where)
	}
	return nil
}

func checkImage(i Image) error {
	where := "bundle: image " + i.Reference
	normal, err := NormalizeReference(i.Reference)
	if err != nil {
		return err
	}
	if normal != i.Reference {
		return malformed("bundle: image %q is not in normal form, which is %q", i.Reference, normal)
	}
	if want := ReferenceDigest(i.Reference); want != "" && want != i.Manifest.Digest {
		return malformed("%s: the entry's digest is %s", where, i.Manifest.Digest)
	}
	if err := checkDescriptor(where, i.Manifest, MaxManifestBytes); err != nil {
		return err
	}
	return checkImageType(where, i.Manifest)
}

// checkImageType demands that a single manifest says which platform it is for:
// the choice on the device must rest on signed bytes, not on a config blob
// that is fetched only after the choice.
func checkImageType(where string, d ocispec.Descriptor) error {
	if d.ArtifactType != "" {
		return malformed("%s: artifactType is not for images", where)
	}
	switch {
	case isImageIndex(d.MediaType) && d.Platform != nil:
		return malformed("%s: platform belongs to the entries of its index", where)
	case isImageIndex(d.MediaType):
		return nil
	case isImageManifest(d.MediaType):
		return checkPlatform(where, d.Platform)
	default:
		return malformed("%s: mediaType %q is not that of an image", where, d.MediaType)
	}
}

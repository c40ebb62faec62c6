package bundle

import (
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// NormalizeReference returns the one form of an image reference that a bundle
// uses: registry and path in full, with a tag unless there is a digest
// ("nginx" is "docker.io/library/nginx:latest"). The rules are those of the
// Docker engine, since it is what Compose files are written for. A digest must
// be sha256.
func NormalizeReference(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", malformed("image %q: %w", ref, err)
	}
	if d, ok := named.(reference.Digested); ok && d.Digest().Algorithm() != digest.SHA256 {
		return "", malformed("image %q: the digest must be sha256", ref)
	}
	return reference.TagNameOnly(named).String(), nil
}

// ReferenceDigest returns the digest that a normalised reference carries, ""
// if it has none.
func ReferenceDigest(ref string) digest.Digest {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	if d, ok := named.(reference.Digested); ok {
		return d.Digest()
	}
	return ""
}

package oci

import (
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// One constant form (OCI Image Spec 1.1, Descriptor, Digests): algorithm
// sha256, 64 lower case hexadecimal digits. Other algorithms are registered,
// but a second one would let two digests name one content.
var digestPattern = lazyregexp.New(`^sha256:[0-9a-f]{64}$`)

// ParseDigest accepts "sha256:" and 64 lower case hexadecimal digits and
// nothing else; the error has reason malformed.
func ParseDigest(s string) (digest.Digest, error) {
	if !digestPattern.MatchString(s) {
		return "", reason.New(reason.Malformed, "%q is not a digest of the form sha256:<64 lower case hexadecimal digits>", clip(s))
	}
	return digest.Digest(s), nil
}

// clip keeps untrusted text in messages short.
func clip(s string) string {
	const max = 200
	if len(s) > max {
		return s[:max] + "..."
	}
	return s
}

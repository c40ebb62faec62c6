package oci

import (
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// maxIndexRead bounds an index.json that others wrote. An entry has about 300
// bytes, so this is 50 000 manifests in one repository.
const maxIndexRead = 16 << 20

// taggedIn returns the digest of the only entry of an index.json that has the
// tag as its reference name (OCI Image Spec 1.1, Image Layout, index.json);
// fs.ErrNotExist when none has it. Reasons: malformed, too-large.
func taggedIn(index []byte, tag string) (digest.Digest, error) {
	if err := strictjson.Check(index, strictjson.Limits{Bytes: maxIndexRead, Depth: maxDepth}); err != nil {
		return "", err
	}
	fields, err := object("index", index, pointerFields)
	if err != nil {
		return "", err
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(fields["manifests"], &entries); err != nil {
		return "", reason.New(reason.Malformed, "index: manifests: not an array")
	}
	var found digest.Digest
	for _, raw := range entries {
		var notes struct {
			Annotations map[string]string `json:"annotations"`
		}
		if err := strictjson.UnmarshalOpen(raw, &notes, manifestLimits); err != nil {
			return "", fmt.Errorf("index: manifests: not a descriptor: %w", err)
		}
		if notes.Annotations[ocispec.AnnotationRefName] != tag {
			continue
		}
		d, err := descriptor("manifests", raw)
		if err != nil {
			return "", err
		}
		if found != "" {
			return "", reason.New(reason.Malformed, "index: two entries have the tag %q", tag)
		}
		found = d.Digest
	}
	if found == "" {
		return "", fmt.Errorf("tag %s: %w", tag, fs.ErrNotExist)
	}
	return found, nil
}

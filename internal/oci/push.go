package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
)

// IfAbsent as the condition of [Repository.Tag] means that the tag must not
// exist yet.
const IfAbsent digest.Digest = "*"

// pushTries is how often a blob is sent: a transport that cannot rewind a
// stream cannot repeat a refused PUT, opening the content again can.
const pushTries = 2

// PushBlob sends a blob unless the registry has it. The content is hashed
// while it is sent and its last bytes are kept back if it is not that of desc.
// open is called once per attempt.
func (r *Repository) PushBlob(ctx context.Context, desc ocispec.Descriptor, open func() (io.ReadCloser, error)) error {
	if _, err := ParseDigest(string(desc.Digest)); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	has, err := r.HasBlob(ctx, desc)
	if err != nil || has {
		return err
	}
	for try := 1; ; try++ {
		err = r.sendBlob(ctx, desc, open)
		if !reason.Is(err, reason.Unreachable) || errors.Is(err, ErrNotFound) || ctx.Err() != nil || try == pushTries {
			return err
		}
	}
}

func (r *Repository) sendBlob(ctx context.Context, desc ocispec.Descriptor, open func() (io.ReadCloser, error)) error {
	op := "push blob " + string(desc.Digest)
	if err := fault.Point("oci.push"); err != nil {
		return err
	}
	content, err := open()
	if err != nil {
		return fmt.Errorf("%s: %s: %w", r.name, op, err)
	}
	defer content.Close()
	ctx, cancel := r.client.deadline(ctx, desc.Size)
	defer cancel()
	err = r.remote.Blobs().Push(ctx, desc, VerifyReader(content, desc))
	return r.fail(ctx, op, err)
}

// MountBlob makes a blob of the repository from, a path on the same registry
// such as "acme/line-monitor", available here without sending it. A registry
// that cannot do that gets the bytes from the other repository through us.
func (r *Repository) MountBlob(ctx context.Context, desc ocispec.Descriptor, from string) error {
	op := "mount blob " + string(desc.Digest)
	if !validPath(from) {
		return reason.New(reason.Malformed, "%s: %s: %q is not a repository path", r.name, op, clip(from))
	}
	has, err := r.HasBlob(ctx, desc)
	if err != nil || has {
		return err
	}
	if err := fault.Point("oci.mount"); err != nil {
		return err
	}
	host, _, _ := strings.Cut(r.name, "/")
	other, err := r.client.Repository(host + "/" + from)
	if err != nil {
		return err
	}
	ctx, cancel := r.client.deadline(ctx, desc.Size)
	defer cancel()
	err = r.remote.Mount(ctx, desc, other.path, func() (io.ReadCloser, error) { return other.Fetch(ctx, desc) })
	return r.fail(ctx, op, err)
}

// PushManifest sends a manifest by digest unless the registry has it. What it
// refers to must be there already. For a manifest with a subject on a registry
// without the referrers API the fallback tag is kept (OCI Distribution Spec
// 1.1, Pushing Manifests with Subject).
func (r *Repository) PushManifest(ctx context.Context, desc ocispec.Descriptor, data []byte) error {
	_, err := r.pushManifest(ctx, desc, data)
	return err
}

func (r *Repository) pushManifest(ctx context.Context, desc ocispec.Descriptor, data []byte) (sent bool, err error) {
	op := "push manifest " + string(desc.Digest)
	if err := checkManifest(desc, data); err != nil {
		return false, fmt.Errorf("%s: %s: %w", r.name, op, err)
	}
	has, err := r.HasManifest(ctx, desc)
	if err != nil || has {
		return false, err
	}
	if err := fault.Point("oci.manifest-put"); err != nil {
		return false, err
	}
	ctx, cancel := r.client.deadline(ctx, desc.Size)
	defer cancel()
	return true, r.fail(ctx, op, r.remote.Manifests().Push(ctx, desc, bytes.NewReader(data)))
}

// Tag makes tag name the manifest desc, whose bytes are data. With ifMatch the
// registry is asked to do so only if the tag names that digest now, or does not
// exist ([IfAbsent]); reason conflict when it does not. Registries other than
// ours ignore the condition, so a writer also reads back.
func (r *Repository) Tag(ctx context.Context, desc ocispec.Descriptor, data []byte, tag string, ifMatch digest.Digest) error {
	op := "tag " + tag
	if err := checkTag(tag); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	if err := checkManifest(desc, data); err != nil {
		return fmt.Errorf("%s: %s: %w", r.name, op, err)
	}
	header := http.Header{"Content-Type": {desc.MediaType}}
	switch ifMatch {
	case "":
	case IfAbsent:
		header.Set("If-None-Match", "*")
	default:
		header.Set("If-Match", `"`+string(ifMatch)+`"`)
	}
	ctx, cancel := r.client.deadline(ctx, desc.Size)
	defer cancel()
	resp, err := r.send(ctx, "oci.tag", call{method: http.MethodPut, path: "/manifests/" + tag, header: header, body: data})
	if err != nil {
		return r.fail(ctx, op, err)
	}
	if resp.StatusCode != http.StatusCreated {
		return answerError(r.name+": "+op, resp)
	}
	discard(resp)
	if told := resp.Header.Get(headerDigest); told != "" && told != string(desc.Digest) {
		return reason.New(reason.DigestMismatch, "%s: %s: the registry stored %q instead of %s", r.name, op, clip(told), desc.Digest)
	}
	return nil
}

// checkManifest compares the bytes of a manifest with their descriptor.
func checkManifest(desc ocispec.Descriptor, data []byte) error {
	if len(data) > MaxManifestBytes {
		return reason.New(reason.TooLarge, "manifest of %d bytes, registries take %d", len(data), MaxManifestBytes)
	}
	if !IsManifest(desc.MediaType) {
		return reason.New(reason.Malformed, "media type %q is not that of a manifest", clip(desc.MediaType))
	}
	if int64(len(data)) != desc.Size || digest.FromBytes(data) != desc.Digest {
		return reason.New(reason.DigestMismatch, "the bytes are not those of %s", desc.Digest)
	}
	return nil
}

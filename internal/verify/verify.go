// Package verify turns signed documents into a verdict, or into a refusal that
// says which rule was broken and by what.
//
// It is a pure function with a thin seam: trusted metadata, a policy, facts
// about the device and a time go in; the few small documents that a checked
// digest names are lent through [Documents]. Nothing here opens a file or a
// socket, reads a clock or an environment variable, so an auditor can run the
// same code over archived inputs and must reach the same result.
//
// The result travels as a chain of types, each of which only this package can
// make:
//
//	ReadOrders   operator's metadata        -> Orders   what this device shall run, and the policy
//	CheckRelease supplier's metadata        -> Release  this bundle is listed, signed and whole
//	Decide       an order and its release   -> Verdict  it may be fetched and rendered here
//	Permit       a verdict and its renders  -> Permit   exactly these objects may be applied
//
// internal/apply renders only what is [Renderable] and applies only a [Permit],
// so applying something unverified does not compile. Beside the chain stands a
// [Rehearsal]: what an order would come to before it is signed, which can be
// rendered and leads no further. The bulk of a bundle (image
// layers) is fetched after the verdict, by digests that the verdict names: a
// device downloads nothing large that its policy would refuse.
package verify

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/margo"
)

// Documents lends the verifier small documents by digest. An implementation
// may read a store or fetch from a registry; it must bound what it reads, and
// it need not be trusted: every byte it returns is hashed again here.
type Documents interface {
	// Manifest returns the OCI manifest or index with digest d and size bytes.
	Manifest(ctx context.Context, d digest.Digest, size int64) ([]byte, error)
	// Blob returns the blob that desc describes.
	Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
}

// Device is what the verifier needs to know about the machine.
type Device struct {
	// ID is the Margo device id, such as "press-07" or "gateway/press-07".
	ID string
	// Platform is the OCI platform of the engine that will run the images.
	Platform ocispec.Platform
	// Capabilities are matched against the package's device constraints. Nil
	// means the device states none, so a package with eligibility rules is
	// ineligible.
	Capabilities *margo.DeviceCapabilities
	// Reserved are absolute paths of the machine that no application reaches,
	// whatever it is granted: the agent's state and log, the engine's socket.
	Reserved []string
	// Appliers are the types of profiles that the device has appliers for, in
	// Margo's words. Nil means compose alone, as devices had it first; where nobody
	// is a device yet, it means "not known here".
	Appliers []string
}

// MaxDocumentBytes bounds any single document that is read whole: OCI
// registries refuse manifests over 4 MiB, and everything else read here
// (margo.yaml, a policy, a root, a signature bundle) is smaller by design.
const MaxDocumentBytes = 4 << 20

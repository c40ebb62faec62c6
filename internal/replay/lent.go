package replay

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/reason"
)

// lent is verify.Documents over an archive. A document that the device could not
// have is not lent either, for the device's reason.
type lent struct{ r *run }

func (l lent) Manifest(_ context.Context, d digest.Digest, size int64) ([]byte, error) {
	return l.lend(inputs.Ref{Digest: d, Size: size})
}

func (l lent) Blob(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return l.lend(inputs.Ref{Digest: desc.Digest, Size: desc.Size})
}

func (l lent) lend(want inputs.Ref) ([]byte, error) {
	for _, u := range l.r.doc.Unread {
		if u.Digest == want.Digest {
			return nil, reason.New(u.Reason, "the device could not read %s", u.Digest)
		}
	}
	for _, ref := range l.r.doc.Documents {
		if ref.Digest == want.Digest {
			return l.r.read(ref)
		}
	}
	return nil, l.r.unnamed(want.Digest)
}

// unnamed: the verifier asks for what it did not ask for then.
func (r *run) unnamed(d digest.Digest) error {
	if r.damage == nil {
		r.damage = &Damage{d, fmt.Errorf("the verifier asks for it, and the inputs document does not name it")}
	}
	return r.damage
}

package tufclient

import (
	"errors"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// refuse gives an error about the document called name its reason. Errors of
// our own checks carry one already; the rest are go-tuf's, told apart by type.
// Expiry is not among them: it is judged before go-tuf is asked, because its
// reason depends on where the document came from.
func refuse(name string, err error) error {
	code := reason.Malformed
	var own *reason.Error
	switch {
	case errors.As(err, &own):
		return reason.New(own.Code, "%s: %w", name, own.Err)
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		code = reason.Expired
	case errors.Is(err, &metadata.ErrUnsignedMetadata{}):
		code = reason.Threshold
	case errors.Is(err, &metadata.ErrBadVersionNumber{}): // and ErrEqualVersionNumber
		code = reason.Rollback
	case errors.Is(err, &metadata.ErrLengthOrHashMismatch{}):
		code = reason.DigestMismatch
	case errors.Is(err, &metadata.ErrRuntime{}):
		code = reason.Internal
	}
	return reason.New(code, "%s: %w", name, err)
}

// delegator is a root or targets document, which says who may sign for a role.
type delegator interface {
	VerifyDelegate(role string, doc any) error
}

// verifySigned checks the signatures of d as the document of role against the
// delegator in use. No signature of an accepted key at all is an untrusted
// signer; some, but too few, miss the threshold.
func verifySigned[T metadata.Roles](by delegator, role string, d *document[T]) error {
	err := by.VerifyDelegate(role, d.meta)
	if err == nil {
		return nil
	}
	if !errors.Is(err, &metadata.ErrUnsignedMetadata{}) {
		return refuse(d.head.name, err)
	}
	if oneKey(by, role).VerifyDelegate(role, d.meta) == nil {
		return reason.New(reason.Threshold, "%s: %w", d.head.name, err)
	}
	return reason.New(reason.UntrustedSigner, "%s: no key of role %s signed it", d.head.name, quoteRole(role))
}

// oneKey returns a copy of by in which one key of role is enough. It serves to
// tell two refusals apart and never to accept anything.
func oneKey(by delegator, role string) delegator {
	switch m := by.(type) {
	case *metadata.Metadata[metadata.RootType]:
		weak := *m
		weak.Signed.Roles = map[string]*metadata.Role{role: {KeyIDs: m.Signed.Roles[role].KeyIDs, Threshold: 1}}
		return &weak
	case *metadata.Metadata[metadata.TargetsType]:
		d := *m.Signed.Delegations
		d.Roles = nil
		for _, r := range m.Signed.Delegations.Roles {
			r.Threshold = 1
			d.Roles = append(d.Roles, r)
		}
		if s := d.SuccinctRoles; s != nil {
			one := *s
			one.Threshold = 1
			d.SuccinctRoles = &one
		}
		weak := *m
		weak.Signed.Delegations = &d
		return &weak
	}
	return by
}

// checkVersion compares the version of a document with the one under which it
// was asked for.
func checkVersion(h header, want int64) error {
	switch {
	case h.version < want:
		return reason.New(reason.Rollback, "%s was served as version %d", h.name, want)
	case h.version > want:
		return reason.New(reason.Malformed, "%s was served as version %d", h.name, want)
	}
	return nil
}

// checkAdvance compares the version of a file with the one seen before.
func checkAdvance(file string, seen, got int64) error {
	switch {
	case got < seen:
		return reason.New(reason.Rollback, "%s: version %d is older than version %d, which was seen before", file, got, seen)
	case got-seen > MaxVersionJump:
		return reason.New(reason.Malformed, "%s: version jumps from %d to %d, more than %d at once; if a key was stolen, the owner rotates it in a new root", file, seen, got, MaxVersionJump)
	}
	return nil
}

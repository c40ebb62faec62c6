package tufclient

import (
	"context"
	"errors"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// role returns the document of a targets role, verified against the delegator
// through which it was reached: a role that two others delegate to may have
// other keys in each. TUF 1.0.34 section 5.6.
func (s *session) role(ctx context.Context, role, from string) (*targetsDoc, error) {
	if d, ok := s.roles[role]; ok {
		return d, s.vouches(from, role)
	}
	want := listed(s.snapshot.meta.Signed.Meta, role)
	if want == nil {
		return nil, reason.New(reason.Malformed, "%s does not list role %s", s.snapshot.head.name, quoteRole(role))
	}
	// The snapshot says which bytes are current, so a stored file that cannot be
	// read is only fetched again.
	seen, err := s.state.read(currentFile(role), MaxTargets)
	if err != nil {
		return nil, err
	}
	if seen != nil && want.VerifyLengthHashes(seen) == nil {
		d, refusal, err := s.judgeRole(role, from, seen)
		if err == nil && d.head.version == want.Version && s.signed(role, from, d, refusal == nil) == nil {
			return d, s.admitRole(role, from, d, refusal, false)
		}
	}
	data, err := s.fetchListed(ctx, role, want, MaxTargets)
	if err != nil {
		return nil, err
	}
	return s.acceptRole(role, from, data, seen, want.Version)
}

// acceptRole judges a fetched document; seen is the stored one, nil for none.
func (s *session) acceptRole(role, from string, data, seen []byte, version int64) (*targetsDoc, error) {
	d, refusal, err := s.judgeRole(role, from, data)
	if err != nil {
		return nil, err
	}
	if err := s.signed(role, from, d, refusal == nil); err != nil {
		return nil, err
	}
	if err := checkVersion(d.head, version); err != nil {
		return nil, err
	}
	if s.contradicts(role, from, seen, d) {
		return nil, s.equivocation(role, d.head.name, seen, d.raw)
	}
	if err := s.admitRole(role, from, d, refusal, true); err != nil {
		return nil, err
	}
	return d, s.state.write(currentFile(role), d.raw)
}

func (s *session) judgeRole(role, from string, data []byte) (*targetsDoc, error, error) {
	return admit(role, data, func(data []byte) (*metadata.Metadata[metadata.TargetsType], error) {
		return s.trusted.UpdateDelegatedTargets(data, role, from)
	})
}

// signed checks the signatures of d as the delegation of from wants them, unless
// go-tuf just did.
func (s *session) signed(role, from string, d *targetsDoc, verified bool) error {
	if verified {
		return nil
	}
	return verifySigned(s.delegator(from), role, d)
}

// vouches reports whether a loaded role verifies against the delegation of another.
// Neither changes any more, so it is found out once.
func (s *session) vouches(from, role string) error {
	edge := visit{role, from}
	err, known := s.edges[edge]
	if !known {
		err = verifySigned(s.delegator(from), role, s.roles[role])
		s.edges[edge] = err
	}
	return err
}

func (s *session) delegator(name string) delegator {
	if name == metadata.ROOT {
		return s.root.meta
	}
	return s.roles[name].meta
}

// contradicts reports whether d and the stored document are two contents of
// one version. The stored one must be signed by keys that are in office, and
// the previous snapshot must have listed that version: after a recovery from
// fast-forwarded versions, numbers are used again rightly.
func (s *session) contradicts(role, from string, stored []byte, d *targetsDoc) bool {
	if stored == nil || s.previous == nil {
		return false
	}
	before := listed(s.previous.meta.Signed.Meta, role)
	if before == nil || before.Version != d.head.version {
		return false
	}
	seen, err := parse[metadata.TargetsType](role, stored)
	return err == nil && seen.head.version == d.head.version && verifySigned(s.delegator(from), role, seen) == nil && !sameSigned(seen, d)
}

// admitRole makes the last checks, of which the last is what go-tuf said.
func (s *session) admitRole(role, from string, d *targetsDoc, refusal error, fetched bool) error {
	if err := checkIdentity(d.head, s.id); err != nil {
		return err
	}
	if err := s.checkExpiry(d.head, fetched); err != nil {
		return err
	}
	if refusal != nil {
		return refuse(d.head.name, refusal)
	}
	s.roles[role] = d
	s.edges[visit{role, from}] = nil
	return nil
}

func (s *session) lender(ctx context.Context) lender {
	return func(role, from string) (*targetsDoc, error) { return s.role(ctx, role, from) }
}

// loadAll loads every delegated role that is reachable, each through the first
// delegator that leads to it.
func (s *session) loadAll(ctx context.Context) error {
	queue := []string{metadata.TARGETS}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, role := range s.delegated(from) {
			if s.roles[role] != nil {
				continue
			}
			if len(s.roles) > MaxRoles {
				return reason.New(reason.TooLarge, "more than %d delegated roles", MaxRoles)
			}
			_, err := s.role(ctx, role, from)
			if s.partial && errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			queue = append(queue, role)
		}
	}
	return nil
}

// delegated names the roles that the loaded role from delegates to and that
// the snapshot lists. Of a succinct delegation most bins may not exist yet.
func (s *session) delegated(from string) []string {
	return delegatedRoles(s.roles[from], s.snapshot)
}

func delegatedRoles(d *targetsDoc, snap *snapshotDoc) []string {
	dg := d.meta.Signed.Delegations
	if dg == nil {
		return nil
	}
	var names []string
	for _, r := range dg.Roles {
		names = append(names, r.Name)
	}
	if dg.SuccinctRoles != nil {
		for file := range snap.meta.Signed.Meta {
			if role, ok := roleOfFile(file); ok && dg.SuccinctRoles.IsDelegatedRole(role) {
				names = append(names, role)
			}
		}
		slices.Sort(names)
	}
	return names
}

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
	by := s.delegator(from)
	if d, ok := s.roles[role]; ok {
		return d, verifySigned(by, role, d)
	}
	want := listed(s.snapshot.meta.Signed.Meta, role)
	if want == nil {
		return nil, reason.New(reason.Malformed, "%s does not list role %s", s.snapshot.head.name, quoteRole(role))
	}
	seen, err := s.storedRole(role)
	if err != nil {
		return nil, err
	}
	if seen != nil && fits(want, seen) && verifySigned(by, role, seen) == nil {
		return seen, s.admitRole(role, from, seen, false)
	}
	d, err := s.fetchRole(ctx, role, by, want)
	if err != nil {
		return nil, err
	}
	if s.contradicts(role, by, seen, d) {
		return nil, s.equivocation(role, d.head.name, seen.raw, d.raw)
	}
	if err := s.admitRole(role, from, d, true); err != nil {
		return nil, err
	}
	return d, s.state.write(currentFile(role), d.raw)
}

func (s *session) delegator(name string) delegator {
	if name == metadata.ROOT {
		return s.root.meta
	}
	return s.roles[name].meta
}

// storedRole reads a targets role from the state. The snapshot says which
// bytes are current, so a file that cannot be read is only fetched again.
func (s *session) storedRole(role string) (*targetsDoc, error) {
	data, err := s.state.read(currentFile(role), MaxTargets)
	if err != nil || data == nil {
		return nil, err
	}
	d, err := parse[metadata.TargetsType](role, data)
	if err != nil {
		return nil, nil
	}
	return d, nil
}

func (s *session) fetchRole(ctx context.Context, role string, by delegator, want *metadata.MetaFiles) (*targetsDoc, error) {
	data, err := s.fetchListed(ctx, role, want, MaxTargets)
	if err != nil {
		return nil, err
	}
	d, err := parse[metadata.TargetsType](role, data)
	if err != nil {
		return nil, err
	}
	if err := verifySigned(by, role, d); err != nil {
		return nil, err
	}
	return d, checkVersion(d.head, want.Version)
}

// contradicts reports whether d and the stored document are two contents of
// one version. The stored one must be signed by keys that are in office, and
// the previous snapshot must have listed that version: after a recovery from
// fast-forwarded versions, numbers are used again rightly.
func (s *session) contradicts(role string, by delegator, seen, d *targetsDoc) bool {
	if seen == nil || s.previous == nil || seen.head.version != d.head.version {
		return false
	}
	before := listed(s.previous.meta.Signed.Meta, role)
	return before != nil && before.Version == d.head.version && verifySigned(by, role, seen) == nil && !sameSigned(seen, d)
}

// admitRole makes the last checks and hands d to go-tuf.
func (s *session) admitRole(role, from string, d *targetsDoc, fetched bool) error {
	if err := checkIdentity(d.head, s.id); err != nil {
		return err
	}
	if err := s.checkExpiry(d.head, fetched); err != nil {
		return err
	}
	if _, err := s.trusted.UpdateDelegatedTargets(d.raw, role, from); err != nil {
		return refuse(d.head.name, err)
	}
	s.roles[role] = d
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

package tufclient

import (
	"bytes"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// document is a TUF document in its received bytes and decoded. Having one
// says that its form is right, not that its signatures are.
type document[T metadata.Roles] struct {
	raw  []byte
	meta *metadata.Metadata[T]
	head header
}

// header is what all kinds of document have in common.
type header struct {
	// name is how messages call the document, such as "deploy version 3".
	name    string
	spec    string
	version int64
	expires time.Time
	// fields are those that TUF does not know.
	fields map[string]any
}

type (
	rootDoc      = document[metadata.RootType]
	timestampDoc = document[metadata.TimestampType]
	snapshotDoc  = document[metadata.SnapshotType]
	targetsDoc   = document[metadata.TargetsType]
)

// specVersion is the major version of the specification that is understood
// (TUF 1.0.34 section 4.3, spec_version).
var specVersion = lazyregexp.New(`^1\.[0-9]{1,4}(\.[0-9]{1,4})?$`)

// parse checks the form of the document of a role and decodes it. The kind of
// document is that of T; role is used in messages.
func parse[T metadata.Roles](role string, data []byte) (*document[T], error) {
	if err := checkBytes[T](role, data); err != nil {
		return nil, err
	}
	return read[T](role, data)
}

// admit is [parse] for a document that go-tuf judges, too: what its step read of
// the bytes is taken over. When the step refuses them, the refusal comes beside the
// document, so that our own checks can say the exact reason.
func admit[T metadata.Roles](role string, data []byte, step func([]byte) (*metadata.Metadata[T], error)) (d *document[T], refusal, err error) {
	if err := checkBytes[T](role, data); err != nil {
		return nil, nil, err
	}
	meta, refusal := step(data)
	if refusal != nil {
		d, err = read[T](role, data)
		return d, refusal, err
	}
	d, err = decoded(role, data, meta)
	return d, nil, err
}

// checkBytes checks all that must be right before go-tuf sees the bytes.
func checkBytes[T metadata.Roles](role string, data []byte) error {
	typ, max := kindOf[T]()
	if len(data) > max {
		return reason.New(reason.TooLarge, "%s: document of %d bytes, at most %d are read", quoteRole(role), len(data), max)
	}
	if err := checkShape(typ, data, max); err != nil {
		return refuse(quoteRole(role), err)
	}
	return nil
}

func read[T metadata.Roles](role string, data []byte) (*document[T], error) {
	meta, err := new(metadata.Metadata[T]).FromBytes(data)
	if err != nil {
		return nil, refuse(quoteRole(role), err)
	}
	return decoded(role, data, meta)
}

// decoded checks the form of what go-tuf made of data.
func decoded[T metadata.Roles](role string, data []byte, meta *metadata.Metadata[T]) (*document[T], error) {
	d := &document[T]{raw: data, meta: meta, head: headOf(role, any(&meta.Signed))}
	if err := d.check(); err != nil {
		return nil, refuse(d.head.name, err)
	}
	return d, nil
}

func kindOf[T metadata.Roles]() (typ string, max int) {
	switch any(new(T)).(type) {
	case *metadata.RootType:
		return metadata.ROOT, MaxRoot
	case *metadata.TimestampType:
		return metadata.TIMESTAMP, MaxTimestamp
	case *metadata.SnapshotType:
		return metadata.SNAPSHOT, MaxSnapshot
	default:
		return metadata.TARGETS, MaxTargets
	}
}

func headOf(role string, signed any) header {
	var h header
	switch s := signed.(type) {
	case *metadata.RootType:
		h = header{spec: s.SpecVersion, version: s.Version, expires: s.Expires, fields: s.UnrecognizedFields}
	case *metadata.TimestampType:
		h = header{spec: s.SpecVersion, version: s.Version, expires: s.Expires, fields: s.UnrecognizedFields}
	case *metadata.SnapshotType:
		h = header{spec: s.SpecVersion, version: s.Version, expires: s.Expires, fields: s.UnrecognizedFields}
	case *metadata.TargetsType:
		h = header{spec: s.SpecVersion, version: s.Version, expires: s.Expires, fields: s.UnrecognizedFields}
	}
	h.name = versioned(role, h.version)
	return h
}

func (d *document[T]) check() error {
	if d.head.version < 1 {
		return reason.New(reason.Malformed, "version: %d is less than 1", d.head.version)
	}
	if !specVersion.MatchString(d.head.spec) {
		return reason.New(reason.Malformed, "spec_version: %q is not version 1 of TUF", d.head.spec)
	}
	switch s := any(&d.meta.Signed).(type) {
	case *metadata.RootType:
		return checkRootRoles(s)
	case *metadata.TimestampType:
		return checkListed(s.Meta, metadata.SNAPSHOT)
	case *metadata.SnapshotType:
		return checkListed(s.Meta, metadata.TARGETS)
	case *metadata.TargetsType:
		return checkDelegations(s.Delegations)
	}
	return nil
}

// checkListed demands that meta lists the file of role and that all versions
// in it are versions.
func checkListed(meta map[string]*metadata.MetaFiles, role string) error {
	if meta[role+".json"] == nil {
		return reason.New(reason.Malformed, "meta: does not list %s.json", role)
	}
	for name, m := range meta {
		if m.Version < 1 {
			return reason.New(reason.Malformed, "meta.%q.version: %d is less than 1", name, m.Version)
		}
	}
	return nil
}

// sameSigned reports whether two documents say the same, whatever their
// signatures and white space.
func sameSigned[T metadata.Roles](a, b *document[T]) bool {
	ca, errA := cjson.EncodeCanonical(a.meta.Signed)
	cb, errB := cjson.EncodeCanonical(b.meta.Signed)
	return errA == nil && errB == nil && bytes.Equal(ca, cb)
}

// expired applies TUF 1.0.34 sections 5.3.10, 5.4.4, 5.5.6 and 5.6.6: the
// expiry must be higher than the time of the update.
func (h header) expired(now time.Time) bool { return !h.expires.After(now) }

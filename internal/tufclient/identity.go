package tufclient

import (
	"fmt"
	"time"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// Kinds of channel.
const (
	// KindReleases is a supplier's channel: what exists.
	KindReleases = "releases"
	// KindDeployments is an operator's channel: what each device shall run.
	KindDeployments = "deployments"
)

// Names of the signed fields that make a TUF repository a channel. They are
// written into signed documents and never change.
const (
	ChannelField  = "x-consign-channel"
	SignedAtField = "x-consign-signed-at"
)

// Identity says which channel a document belongs to. The zero value is that of
// a plain TUF repository, which declares none.
type Identity struct {
	// Kind is [KindReleases] or [KindDeployments].
	Kind string
	// ID is 32 lower-case hexadecimal digits, drawn at random when the channel
	// was made.
	ID string
}

var channelID = lazyregexp.New(`^[0-9a-f]{32}$`)

// String returns "releases channel 0123..." or "plain TUF repository".
func (i Identity) String() string {
	if i == (Identity{}) {
		return "plain TUF repository"
	}
	return i.Kind + " channel " + i.ID
}

// Validate reports whether i is zero or a well-formed identity.
func (i Identity) Validate() error {
	if i == (Identity{}) {
		return nil
	}
	if i.Kind != KindReleases && i.Kind != KindDeployments {
		return reason.New(reason.Malformed, "%s.kind: %q is neither %q nor %q", ChannelField, i.Kind, KindReleases, KindDeployments)
	}
	if !channelID.MatchString(i.ID) {
		return reason.New(reason.Malformed, "%s.id: %q is not 32 lower-case hexadecimal digits", ChannelField, i.ID)
	}
	return nil
}

// Field returns the value of [ChannelField] for i.
func (i Identity) Field() map[string]any {
	return map[string]any{"kind": i.Kind, "id": i.ID}
}

// RootIdentity returns the identity that a root document declares, after
// checking the document's form and that it is signed by itself. It is how one
// learns what to pin; it says nothing about whether the root is to be trusted.
func RootIdentity(root []byte) (Identity, error) {
	r, err := loadRoot("root", root)
	if err != nil {
		return Identity{}, err
	}
	return identityOf("root", r.head.fields)
}

// identityOf reads [ChannelField] out of the fields that TUF does not know.
func identityOf(name string, fields map[string]any) (Identity, error) {
	v, ok := fields[ChannelField]
	if !ok {
		return Identity{}, nil
	}
	m, _ := v.(map[string]any)
	kind, kindOK := m["kind"].(string)
	id, idOK := m["id"].(string)
	if len(m) != 2 || !kindOK || !idOK {
		return Identity{}, reason.New(reason.Malformed, "%s: %s: want an object with the texts kind and id", name, ChannelField)
	}
	i := Identity{Kind: kind, ID: id}
	if i == (Identity{}) {
		return i, reason.New(reason.Malformed, "%s: %s: kind and id are empty", name, ChannelField)
	}
	if err := i.Validate(); err != nil {
		return Identity{}, fmt.Errorf("%s: %w", name, err)
	}
	return i, nil
}

// checkIdentity refuses a document of another channel. It is called on
// documents whose signatures were verified, so a mismatch means shared keys.
func checkIdentity(h header, want Identity) error {
	got, err := identityOf(h.name, h.fields)
	if err != nil {
		return err
	}
	if got != want {
		return reason.New(reason.WrongChannel, "%s belongs to %s, this is %s", h.name, got, want)
	}
	return nil
}

// signedAt returns the time at which a channel's timestamp was signed; zero
// for a plain repository, which need not say.
func signedAt(h header, id Identity) (time.Time, error) {
	if id == (Identity{}) {
		return time.Time{}, nil
	}
	text, ok := h.fields[SignedAtField].(string)
	if !ok {
		return time.Time{}, reason.New(reason.Malformed, "%s: %s: is missing or not a text", h.name, SignedAtField)
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, reason.New(reason.Malformed, "%s: %s: %q is not an RFC 3339 time", h.name, SignedAtField, text)
	}
	if !t.Before(h.expires) {
		return time.Time{}, reason.New(reason.Malformed, "%s: %s: %s is not before its expiry %s", h.name, SignedAtField, text, h.expires.Format(time.RFC3339))
	}
	return t.UTC(), nil
}

package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/consign-dev/consign/internal/reason"
)

// Key is a device's log key: Ed25519, in the encoding of C2SP signed-note. Its
// name is the origin line of the log's checkpoints.
type Key struct {
	signer   note.Signer
	verifier note.Verifier
	public   string
}

// Origin is the name of the log of device: the name of its key and the first
// line of its checkpoints.
func Origin(device string) string {
	// A key name has no spaces and no plus sign (C2SP signed-note).
	return "consign.dev/device/" + strings.ReplaceAll(url.PathEscape(device), "+", "%2B")
}

// GenerateKey makes a log key for device. private is the text to store in a
// file that only the agent can read; public is the verifier key that the
// operator records and that [Verify] is given.
func GenerateKey(device string) (private, public string, err error) {
	if device == "" {
		return "", "", errors.New("generate log key: the device has no name")
	}
	return note.GenerateKey(rand.Reader, Origin(device))
}

// ParseKey reads the text that GenerateKey returned as private.
func ParseKey(private string) (*Key, error) {
	// The text is a secret: no error quotes it.
	private = strings.TrimSpace(private)
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, reason.New(reason.Malformed, "log key: this is not a private note key")
	}
	// PRIVATE+KEY+name+hash+base64; only the last part can hold a plus sign.
	parts := strings.SplitN(private, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, reason.New(reason.Malformed, "log key: this is not an Ed25519 key")
	}
	public, err := note.NewEd25519VerifierKey(signer.Name(), ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	verifier, err := ParseVerifierKey(public)
	if err != nil {
		return nil, err
	}
	return &Key{signer: signer, verifier: verifier, public: public}, nil
}

// Public is the verifier key: name, key id and public key in one line of text.
func (k *Key) Public() string { return k.public }

// ParseVerifierKey reads a verifier key as printed at enrolment.
func ParseVerifierKey(public string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil {
		return nil, reason.New(reason.Malformed, "verifier key %q: %w", clean(public, MaxText), err)
	}
	return v, nil
}

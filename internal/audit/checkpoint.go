package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	tlog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/consign-dev/consign/internal/reason"
)

// Checkpoint is the signed head of a log: a commitment to its first Size
// events.
type Checkpoint struct {
	Origin string // name of the log and of its key
	Size   uint64 // number of events
	Root   []byte // RFC 6962 root of the tree of that size, 32 bytes
	Signed []byte // the signed note, byte for byte
}

// ParseCheckpoint reads a signed checkpoint (C2SP tlog-checkpoint) and checks
// its signature. Only the one encoding is taken, with the one signature of v
// and no extension lines: every byte of the file is then accounted for.
// The error has reason malformed, too-large, signature or untrusted-signer.
func ParseCheckpoint(signed []byte, v note.Verifier) (Checkpoint, error) {
	if len(signed) > maxCheckpoint {
		return Checkpoint{}, reason.New(reason.TooLarge, "checkpoint of %d bytes, at most %d are read", len(signed), maxCheckpoint)
	}
	n, err := openNote(signed, v)
	if err != nil {
		return Checkpoint{}, err
	}
	var cp tlog.Checkpoint
	rest, err := cp.Unmarshal([]byte(n.Text))
	if err != nil {
		return Checkpoint{}, reason.New(reason.Malformed, "checkpoint: %w", err)
	}
	if len(rest) != 0 || len(cp.Hash) != sha256.Size || string(cp.Marshal()) != n.Text {
		return Checkpoint{}, reason.New(reason.Malformed, "checkpoint: its text is not an origin, a size and a root")
	}
	if cp.Origin != v.Name() {
		return Checkpoint{}, reason.New(reason.Malformed, "checkpoint: it is of log %q, the key is of %q", cp.Origin, v.Name())
	}
	return Checkpoint{Origin: cp.Origin, Size: cp.Size, Root: cp.Hash, Signed: signed}, nil
}

func openNote(signed []byte, v note.Verifier) (*note.Note, error) {
	n, err := note.Open(signed, note.VerifierList(v))
	var (
		invalid  *note.InvalidSignatureError
		unsigned *note.UnverifiedNoteError
	)
	switch {
	case errors.As(err, &invalid):
		return nil, reason.New(reason.Signature, "checkpoint: the signature does not fit its text")
	case errors.As(err, &unsigned):
		return nil, reason.New(reason.UntrustedSigner, "checkpoint: it has no signature of the key %s+%08x", v.Name(), v.KeyHash())
	case err != nil:
		return nil, reason.New(reason.Malformed, "checkpoint: %w", err)
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 || string(signed) != canonical(n) {
		return nil, reason.New(reason.Malformed, "checkpoint: it holds more than its text and one signature in its one encoding")
	}
	return n, nil
}

// canonical writes a note again. base64 has spare bits at its end that a
// lenient decoder ignores; nothing else in a note can vary.
func canonical(n *note.Note) string {
	sig := n.Sigs[0]
	raw, err := base64.StdEncoding.Strict().DecodeString(sig.Base64)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s\n— %s %s\n", n.Text, sig.Name, base64.StdEncoding.EncodeToString(raw))
}

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// rootOf is the RFC 6962 root of a compact range from 0, which has a value for
// the empty tree, too.
func rootOf(r *compact.Range) ([]byte, error) {
	if r.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	return r.GetRootHash(nil)
}

func checkpointText(origin string, size uint64, root []byte) string {
	return string(tlog.Checkpoint{Origin: origin, Size: size, Hash: root}.Marshal())
}

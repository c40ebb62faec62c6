package verify_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// witness is a real cosigner of checkpoints (C2SP, tlog-cosignature).
type witness struct {
	signer note.Signer
	// key is its verifier key.
	key string
}

func newWitness(name string) witness {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	return witnessOf(name, private)
}

func witnessOf(name string, private ed25519.PrivateKey) witness {
	typed := append([]byte{4}, private.Public().(ed25519.PublicKey)...)
	sum := sha256.Sum256([]byte(name + "\n" + string(typed)))
	id := hex.EncodeToString(sum[:4])
	signer := ok(fnote.NewSignerForCosignatureV1(fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", name, id, base64.StdEncoding.EncodeToString(append([]byte{4}, private.Seed()...)))))
	return witness{signer, fmt.Sprintf("%s+%s+%s", name, id, base64.StdEncoding.EncodeToString(typed))}
}

// cosigned is a checkpoint with the signatures of witnesses added; what others
// signed stays as it is.
func cosigned(checkpoint string, by ...witness) string {
	text, _, _ := strings.Cut(checkpoint, "\n\n")
	for _, w := range by {
		signed := string(ok(note.Sign(&note.Note{Text: text + "\n"}, w.signer)))
		_, line, _ := strings.Cut(signed, "\n\n")
		checkpoint += line
	}
	return checkpoint
}

// witnessed is a golden bundle whose log's own checkpoint is cosigned.
func witnessed(t testing.TB, by ...witness) []byte {
	return edited(t, "tag", func(d map[string]any) {
		c := entry(d)["inclusionProof"].(map[string]any)["checkpoint"].(map[string]any)
		c["envelope"] = cosigned(c["envelope"].(string), by...)
	})
}

func checkWitnessed(data, trusted []byte, by *policy.Witnesses) (policy.Signer, error) {
	root, err := ok(verify.ParseTrustedRoot(trusted)).Witnessed(by)
	if err != nil {
		return policy.Signer{}, err
	}
	e, err := verify.ParseEvidence(data)
	if err != nil {
		return policy.Signer{}, err
	}
	return only(e.CheckSignature(signed, verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": root}}))
}

// TestAttackS9SplitView: whoever has a log's key shows one device a tree of its
// own. Without witnesses the device cannot know; with them it asks for the
// signatures of those who watch that there is one tree only.
func TestAttackS9SplitView(t *testing.T) {
	a, b, stranger := newWitness("a.example"), newWitness("b.example"), newWitness("c.example")
	l := newLog("127.0.0.1")
	world := l.shows(leafOf(t, "branch"), leafOf(t, "tag")) // what everybody sees
	fork := l.shows(leafOf(t, "tag"))                       // and what this device is shown
	world.checkpoint = cosigned(world.checkpoint, a, b)
	both := &policy.Witnesses{Threshold: 2, Keys: []string{a.key, b.key}}

	for name, tr := range map[string]*tree{"world": world, "fork": fork} {
		if _, err := checkWitnessed(logged(t, "tag", l.entry(tr, len(tr.leaves)-1)), l.trusted(t), nil); err != nil {
			t.Errorf("no witnesses are asked for, %s: %v", name, err)
		}
	}
	if _, err := checkWitnessed(logged(t, "tag", l.entry(world, 1)), l.trusted(t), both); err != nil {
		t.Errorf("the tree that the witnesses saw: %v", err)
	}
	_, lines, _ := strings.Cut(world.checkpoint, "\n\n")
	_, lines, _ = strings.Cut(lines, "\n") // those of the witnesses
	for name, checkpoint := range map[string]string{
		"none":           fork.checkpoint,
		"one of two":     cosigned(fork.checkpoint, a),
		"one twice":      cosigned(fork.checkpoint, a, a),
		"a stranger":     cosigned(fork.checkpoint, stranger, a),
		"another tree's": fork.checkpoint + lines,
		"the name alone": cosigned(fork.checkpoint, a, newWitness("b.example")),
	} {
		e := l.entry(fork, 0)
		e["inclusionProof"].(map[string]any)["checkpoint"] = map[string]any{"envelope": checkpoint}
		got, err := checkWitnessed(logged(t, "tag", e), l.trusted(t), both)
		if !reason.Is(err, reason.Signature) || got.Subject != "" || !strings.Contains(err.Error(), "log") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// Every entry that counts is asked, not one of them.
	data := logged(t, "tag", l.entry(world, 1), l.entry(fork, 0))
	if _, err := checkWitnessed(data, l.trusted(t), both); !reason.Is(err, reason.Signature) {
		t.Errorf("a witnessed entry beside one of the fork: %v", err)
	}
}

// TestWitnessesOfARealLog: the checkpoint is one that a real Rekor signed.
func TestWitnessesOfARealLog(t *testing.T) {
	a, b, c := newWitness("a.example"), newWitness("b.example"), newWitness("c.example")
	two := &policy.Witnesses{Threshold: 2, Keys: []string{a.key, b.key, c.key}}
	for name, each := range map[string]struct {
		data []byte
		good bool
	}{
		"none": {golden(t, "tag"), false}, "one": {witnessed(t, b), false}, "two": {witnessed(t, c, a), true}, "all": {witnessed(t, a, b, c), true},
		"two and strangers": {witnessed(t, newWitness("x"), a, newWitness("y"), c), true},
	} {
		got, err := checkWitnessed(each.data, golden(t, "trusted_root"), two)
		if each.good != (err == nil) || each.good != (got.Subject != "") || err != nil && !reason.Is(err, reason.Signature) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, w := range map[string]*policy.Witnesses{"no threshold": {Keys: two.Keys}, "too high": {Threshold: 4, Keys: two.Keys}, "no key": {Threshold: 1, Keys: []string{"x"}}} {
		if _, err := checkWitnessed(witnessed(t, a, b, c), golden(t, "trusted_root"), w); !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

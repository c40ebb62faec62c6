package policy

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// maxWitnesses bounds the witnesses of one instance; each costs a public-key
// operation for every log entry.
const maxWitnesses = 32

// Witnesses are who watches that a transparency log shows everybody one tree. A
// witness cosigns a checkpoint only if its tree continues the one that it cosigned
// last, so a log cannot show a device a tree of its own (attack S9) unless
// Threshold of them help.
type Witnesses struct {
	// Threshold is how many of Keys must have cosigned: at least 1, and it has no
	// default.
	Threshold int `yaml:"threshold"`
	// Keys are C2SP verifier keys of the type cosignature/v1 (tlog-cosignature),
	// NAME+HASH+BASE64, each of another witness.
	Keys []string `yaml:"keys"`
}

// Verifiers returns the verifiers of the keys in the order of the document.
func (w *Witnesses) Verifiers() ([]note.Verifier, error) {
	out := make([]note.Verifier, 0, len(w.Keys))
	names, keys := map[string]bool{}, map[string]bool{}
	for i, text := range w.Keys {
		v, key, err := parseWitness(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		case names[v.Name()] || keys[key]:
			// One witness under two names, or with two keys, would count as two.
			return nil, fmt.Errorf("keys[%d]: the name or the key of %.100q is there already", i, v.Name())
		}
		names[v.Name()], keys[key] = true, true
		out = append(out, v)
	}
	return out, nil
}

// cosignatureV1 is the signature type of Ed25519 cosignatures (C2SP, signed-note).
const cosignatureV1 = 0x04

// parseWitness reads a verifier key, whose hash the library does not look at.
func parseWitness(text string) (v note.Verifier, key string, err error) {
	if v, err = fnote.NewVerifierForCosignatureV1(text); err != nil || !plainText(text) {
		return nil, "", fmt.Errorf("%.100q is not the verifier key of a witness, NAME+HASH+BASE64", text)
	}
	parts := strings.SplitN(text, "+", 3) // base64 has plus signs, too
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) == 0 || raw[0] != cosignatureV1 {
		return nil, "", errors.New("only keys of the type cosignature/v1 (Ed25519, 0x04) are read")
	}
	hash, err := hex.DecodeString(parts[1])
	if err != nil || fmt.Sprintf("%08x", v.KeyHash()) != hex.EncodeToString(hash) {
		return nil, "", fmt.Errorf("%.100q: the hash is not that of this name and key", text)
	}
	return v, string(raw), nil
}

func (w *Witnesses) validate() error {
	if w == nil {
		return nil
	}
	if len(w.Keys) > maxWitnesses {
		return fmt.Errorf("keys: %d, at most %d", len(w.Keys), maxWitnesses)
	}
	if _, err := w.Verifiers(); err != nil {
		return err
	}
	if w.Threshold < 1 || w.Threshold > len(w.Keys) {
		return fmt.Errorf("threshold: %d is not between 1 and the number of keys, %d", w.Threshold, len(w.Keys))
	}
	return nil
}

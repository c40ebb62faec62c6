package verify_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// ownLog is a transparency log whose key somebody has stolen, or who runs it: it
// signs whatever trees they like.
type ownLog struct {
	name string
	key  ed25519.PrivateKey
}

func newLog(name string) *ownLog {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	return &ownLog{name, key}
}

func (l *ownLog) public() []byte { return l.key.Public().(ed25519.PublicKey) }

func (l *ownLog) pkix() []byte { return ok(x509.MarshalPKIXPublicKey(l.key.Public())) }

// id is that of a log of Rekor v2 (C2SP, signed-note, Ed25519).
func (l *ownLog) id() string {
	sum := sha256.Sum256(append([]byte(l.name+"\n\x01"), l.public()...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// trusted is the golden trusted root with this log in the place of its own.
func (l *ownLog) trusted(t testing.TB) []byte {
	return edited(t, "trusted_root", func(doc map[string]any) {
		log := doc["tlogs"].([]any)[0].(map[string]any)
		log["logId"] = map[string]any{"keyId": l.id()}
		log["publicKey"].(map[string]any)["rawBytes"] = base64.StdEncoding.EncodeToString(l.pkix())
	})
}

// tree is what the log shows one of its readers: one leaf, or two.
type tree struct {
	leaves [][]byte
	// checkpoint is a signed note; more is what others have signed beside it.
	checkpoint string
}

// shows signs a tree.
func (l *ownLog) shows(leaves ...[]byte) *tree {
	text := fmt.Sprintf("%s\n%d\n%s\n", l.name, len(leaves), base64.StdEncoding.EncodeToString(rootOf(leaves)))
	sum := sha256.Sum256(append([]byte(l.name+"\n\x01"), l.public()...))
	secret := append([]byte{1}, l.key.Seed()...)
	signer := ok(note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", l.name, hex.EncodeToString(sum[:4]), base64.StdEncoding.EncodeToString(secret))))
	return &tree{leaves, string(ok(note.Sign(&note.Note{Text: text}, signer)))}
}

func leafHash(leaf []byte) []byte { return rfc6962.DefaultHasher.HashLeaf(leaf) }

func rootOf(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leafHash(leaves[0])
	}
	return rfc6962.DefaultHasher.HashChildren(leafHash(leaves[0]), leafHash(leaves[1]))
}

// entry is the log entry of a leaf, with its proof.
func (l *ownLog) entry(tr *tree, index int) map[string]any {
	proof := map[string]any{
		"logIndex": strconv.Itoa(index), "treeSize": strconv.Itoa(len(tr.leaves)),
		"rootHash":   base64.StdEncoding.EncodeToString(rootOf(tr.leaves)),
		"checkpoint": map[string]any{"envelope": tr.checkpoint},
	}
	if len(tr.leaves) == 2 {
		proof["hashes"] = []any{base64.StdEncoding.EncodeToString(leafHash(tr.leaves[1-index]))}
	}
	return map[string]any{
		"logIndex": strconv.Itoa(index), "logId": map[string]any{"keyId": l.id()},
		"kindVersion":       map[string]any{"kind": "hashedrekord", "version": "0.0.2"},
		"canonicalizedBody": base64.StdEncoding.EncodeToString(tr.leaves[index]), "inclusionProof": proof,
	}
}

// leafOf is what a log keeps of a golden bundle.
func leafOf(t testing.TB, name string) []byte {
	var out []byte
	edited(t, name, func(d map[string]any) {
		out = ok(base64.StdEncoding.DecodeString(entry(d)["canonicalizedBody"].(string)))
	})
	return out
}

// logged is a golden bundle with other log entries.
func logged(t testing.TB, name string, entries ...any) []byte {
	return edited(t, name, func(d map[string]any) { material(d)["tlogEntries"] = entries })
}

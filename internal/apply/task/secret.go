package task

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// MaxSecret bounds one secret: 64 KiB, room for a key with its certificates.
const MaxSecret = 64 << 10

// Secret is what a secret's name stands for at this moment. It crosses the pipe
// of an apply or of an observe, is put into containers as a file or into a Secret
// of the cluster, and is written nowhere else.
type Secret struct {
	Content SecretContent `json:"content"`
	// Version changes with the content and tells nothing about it. It is put on
	// containers as a label, on a Secret as an annotation.
	Version string `json:"version"`
}

// SecretContent is not printed by mistake.
type SecretContent []byte

// Format implements [fmt.Formatter].
func (SecretContent) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }

// SecretKey is the key of a Secret under which a secret of the device stands.
const SecretKey = "value"

// AnnotationSecrets says on a Secret of ours which version of a secret it holds, and
// on pods which versions they were made with.
const AnnotationSecrets = "dev.consign.secrets"

// SecretObject is the name of the Secret in which a release has a secret of the
// device. The secret's own name may be longer than Kubernetes allows, or be spelt as
// it does not.
func SecretObject(release, secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return release + "-secret-" + hex.EncodeToString(sum[:6])
}

package attacks

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"bytes"
)

// orders makes the device's one order name another bundle, with the deploy key.
func (s *site) orders(t *testing.T, version string, bundle digest.Digest) {
	t.Helper()
	s.Reorder(device, func(documents [][]byte) [][]byte {
		from := s.Release("1.0.0").Digest
		text := bytes.ReplaceAll(documents[0], []byte("1.0.0"), []byte(version))
		return [][]byte{bytes.ReplaceAll(text, []byte(from), []byte(bundle))}
	})
}

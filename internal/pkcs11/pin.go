//go:build pkcs11

package pkcs11

import (
	"fmt"
	"os"
	"strings"

	"github.com/consign-dev/consign/internal/durable"
)

// maxPIN bounds the file of a PIN, in bytes.
const maxPIN = 1024

// readPIN reads a PIN from a file that only its owner can read.
func readPIN(file string) (string, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return "", fmt.Errorf("pin-source: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", malformed("pin-source: %s has mode %v: want a plain file that others cannot read (chmod 600)", file, info.Mode())
	}
	data, err := durable.ReadFile(file, maxPIN)
	if err != nil {
		return "", fmt.Errorf("pin-source: %w", err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

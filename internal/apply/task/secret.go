package task

import (
	"fmt"
	"io"
)

// MaxSecret bounds one secret: 64 KiB, room for a key with its certificates.
const MaxSecret = 64 << 10

// Secret is what a secret's name stands for at this moment. It crosses the pipe
// of an apply, is put into containers as a file, and is written nowhere else.
type Secret struct {
	Content SecretContent `json:"content"`
	// Version changes with the content and tells nothing about it. It is put on
	// containers as a label.
	Version string `json:"version"`
}

// SecretContent is not printed by mistake.
type SecretContent []byte

// Format implements [fmt.Formatter].
func (SecretContent) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxPassphrase bounds a passphrase file: it is one line that a person or a
// password manager wrote, and a larger file was named by mistake.
const maxPassphrase = 4096

// Passphrase is where a command gets the passphrase of its keys from: a file,
// or a person at the terminal.
type Passphrase struct {
	// File is the value of --passphrase-file; empty means to ask.
	File string
	// Prompt is shown to the person, without a colon: "passphrase of keys in ./keys".
	Prompt string
	// Confirm asks twice, for a passphrase that is being chosen.
	Confirm bool
}

// AddFlag adds --passphrase-file to cmd.
func (p *Passphrase) AddFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.File, "passphrase-file", "",
		"read the passphrase of the keys from the first line of `FILE` (mode 0600) instead of asking")
}

// Read returns the passphrase, never an empty one. It asks each time it is
// called; a command with several keys asks once and remembers.
func (p *Passphrase) Read(ctx context.Context) ([]byte, error) {
	if p.File != "" {
		return readPassphraseFile(p.File)
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, Usage("%s: there is no terminal to ask on; name a file of mode 0600 with --passphrase-file", p.Prompt)
	}
	defer tty.Close()
	return p.ask(ctx, tty)
}

func readPassphraseFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("passphrase file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("passphrase file: %w", err)
	}
	// A pipe is what a shell makes of <(command); it is as private as its mode says.
	if kind := info.Mode().Type(); kind != 0 && kind != fs.ModeNamedPipe {
		return nil, fmt.Errorf("passphrase file %s: not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("passphrase file %s: mode %04o lets others read it; run 'chmod 600 %s'", path, info.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return nil, fmt.Errorf("passphrase file: %w", err)
	}
	if len(data) > maxPassphrase {
		return nil, fmt.Errorf("passphrase file %s: longer than %d bytes", path, maxPassphrase)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, fmt.Errorf("passphrase file %s: its first line is empty", path)
	}
	return line, nil
}

func (p *Passphrase) ask(ctx context.Context, tty *os.File) ([]byte, error) {
	pass, err := hidden(ctx, tty, p.Prompt)
	if err != nil {
		return nil, err
	}
	if len(pass) == 0 {
		return nil, errors.New("the passphrase is empty; keys are not stored unprotected")
	}
	if !p.Confirm {
		return pass, nil
	}
	again, err := hidden(ctx, tty, p.Prompt+", again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(pass, again) {
		return nil, errors.New("the two passphrases differ; nothing was written, run the command again")
	}
	return pass, nil
}

// hidden asks for one line without echo. When the context ends first, the
// terminal gets its echo back: the read itself cannot be interrupted, and a
// shell left without echo looks broken.
func hidden(ctx context.Context, tty *os.File, prompt string) ([]byte, error) {
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask for passphrase: %w", err)
	}
	fmt.Fprintf(tty, "%s: ", Safe(prompt))
	type answer struct {
		line []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		got <- answer{line, err}
	}()
	select {
	case a := <-got:
		fmt.Fprintln(tty)
		if a.err != nil {
			return nil, fmt.Errorf("ask for passphrase: %w", a.err)
		}
		return a.line, nil
	case <-ctx.Done():
		_ = term.Restore(fd, state)
		fmt.Fprintln(tty)
		return nil, ctx.Err()
	}
}

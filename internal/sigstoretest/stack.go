package sigstoretest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Bin is the environment variable that names the directory of the servers: what
// tools/tool.sh prints for sigstore. "make test" sets it.
const Bin = "CONSIGN_SIGSTORE_BIN"

// Stack is a running Sigstore. All its methods but Stop may be used by several
// goroutines.
type Stack struct {
	// Base URLs, as sigstore-go's signers want them: Timestamps is the whole
	// URL of the endpoint. Rekor speaks API version 2 and serves no reads.
	Fulcio, Rekor, Timestamps, CTLog string
	// TrustedRoot is trusted_root.json: all that is needed to verify what this
	// stack signed, offline.
	TrustedRoot []byte
	// SigningConfig is signing_config.json.
	SigningConfig []byte

	issuers   string // base URL of the issuers
	bin, dir  string
	ports     []port
	launcher  *launcher
	processes []*process
}

// Start runs a stack of its own, with new keys, and returns when all servers
// answer. The caller stops it. An error holds the end of the log of the server
// that failed, or names the make target that builds the servers.
func Start() (*Stack, error) {
	bin := os.Getenv(Bin)
	if bin == "" {
		return nil, errors.New(Bin + " does not name the servers of Sigstore: run this with make test")
	}
	dir, err := os.MkdirTemp("", "sigstore-")
	if err != nil {
		return nil, err
	}
	s := &Stack{bin: bin, dir: dir, launcher: newLauncher()}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start Sigstore: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Stack) start() error {
	m, err := newMaterial(time.Now())
	if err != nil {
		return err
	}
	if err := m.write(s.dir); err != nil {
		return err
	}
	if err := s.launch(); err != nil {
		return err
	}
	if s.TrustedRoot, err = s.trustedRoot(m); err != nil {
		return err
	}
	s.SigningConfig, err = s.signingConfig(m)
	return err
}

// Stop ends all servers and removes what they stored. Stopping twice is stopping
// once.
func (s *Stack) Stop() error {
	var errs []error
	for _, p := range s.processes {
		errs = append(errs, p.stop())
	}
	for _, p := range s.ports {
		p.close()
	}
	if s.launcher != nil {
		s.launcher.close()
	}
	s.processes, s.ports, s.launcher = nil, nil, nil
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// PIDs are the process ids of the servers.
func (s *Stack) PIDs() []int {
	var ids []int
	for _, p := range s.processes {
		ids = append(ids, p.cmd.Process.Pid)
	}
	return ids
}

// Logs is the end of what each server wrote, for a failing test.
func (s *Stack) Logs() string {
	var tails []string
	for _, p := range s.processes {
		tails = append(tails, p.tail())
	}
	return strings.Join(tails, "\n")
}

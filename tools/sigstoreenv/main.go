// Sigstoreenv runs a command beside a private Sigstore on loopback, and takes that
// away again:
//
//	sigstoreenv -job NAME=REF ... -- COMMAND...
//
// The command finds in the directory CONSIGN_SIGSTORE_DIR the files
// trusted_root.json and signing_config.json and, for each job, NAME.env: what a
// job of GitHub Actions that runs acme/hello's release workflow on the git ref REF
// finds in its environment, for a shell to read. The servers are those of
// CONSIGN_SIGSTORE_BIN ("make interop" builds them).
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/consign-dev/consign/internal/sigstoretest"
)

// directory is the variable that tells the command where the files are.
const directory = "CONSIGN_SIGSTORE_DIR"

type jobs map[string]string

func (j jobs) String() string { return "" }

func (j jobs) Set(text string) error {
	name, ref, ok := strings.Cut(text, "=")
	if !ok || name == "" || name != filepath.Base(name) {
		return errors.New("want NAME=REF")
	}
	j[name] = ref
	return nil
}

func main() {
	list := jobs{}
	flag.Var(list, "job", "`NAME=REF` of a job; repeatable")
	flag.Parse()
	code, err := run(list, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "sigstoreenv:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(list jobs, command []string) (code int, err error) {
	if len(command) == 0 {
		return 2, errors.New("usage: sigstoreenv -job NAME=REF -- COMMAND [ARGUMENT]")
	}
	dir, err := os.MkdirTemp("", "consign-sigstore-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := sigstoretest.Start()
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := write(s, dir, list); err != nil {
		return 1, err
	}
	return follow(dir, command)
}

func write(s *sigstoretest.Stack, dir string, list jobs) error {
	files := map[string]string{"trusted_root.json": string(s.TrustedRoot), "signing_config.json": string(s.SigningConfig), "issuer": s.Issuer(sigstoretest.GitHub)}
	for name, ref := range list {
		claims := sigstoretest.GitHubClaims("acme/hello", ref)
		address, token, err := s.Job(claims)
		if err != nil {
			return err
		}
		for _, pair := range append(sigstoretest.GitHubEnvironment(claims), "ACTIONS_ID_TOKEN_REQUEST_URL="+address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+token) {
			key, value, _ := strings.Cut(pair, "=")
			files[name+".env"] += key + "='" + value + "'\n"
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// follow runs the command, passes an interrupt on to it, and ends as it does.
func follow(dir string, command []string) (int, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), directory+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

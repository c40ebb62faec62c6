// Package idtoken finds the OpenID Connect identity token by which a pipeline or
// a person signs without a key: in a file, from a command, or from the CI system
// that runs the program.
//
// A token is a credential for the minutes of its life. It is in no error, log or
// output of this package.
package idtoken

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// maxToken bounds a token. GitHub's have 2 KiB; groups make others larger.
const maxToken = 64 << 10

// The variables that CI systems set.
const (
	githubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	githubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
	// gitlabToken is the name that GitLab's documentation has for an id_tokens entry
	// with the audience "sigstore".
	gitlabToken = "SIGSTORE_ID_TOKEN"
)

// Source says where the token is. The first of File, Command and the
// environment that is set is asked, and no other.
type Source struct {
	// File holds a token.
	File string
	// Command is run by the shell; it prints a token. What it says on standard error
	// goes to Stderr, which may be nil, and into no error: some print tokens there.
	Command string
	Stderr  io.Writer
	// Env reads an environment variable.
	Env func(name string) string
}

// Token returns a token for an audience.
func (s Source) Token(ctx context.Context, audience string) (string, error) {
	text, err := s.read(ctx, audience)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(text)
	if !jws.MatchString(token) {
		return "", reason.New(reason.Malformed, "%s gave %d bytes that are no token: three parts of letters, digits, - and _ with dots between them are wanted", s.name(), len(text))
	}
	return token, nil
}

// jws is the compact serialization of RFC 7515, section 7.1.
var jws = lazyregexp.New(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

func (s Source) read(ctx context.Context, audience string) (string, error) {
	switch {
	case s.File != "":
		data, err := durable.ReadFile(s.File, maxToken)
		return string(data), err
	case s.Command != "":
		return run(ctx, s.Command, s.Stderr)
	case s.Env(githubURL) != "":
		return askGitHub(ctx, s.Env(githubURL), s.Env(githubToken), audience)
	case s.Env(gitlabToken) != "":
		return s.Env(gitlabToken), nil
	default:
		return "", errors.New("there is none: give --identity-token FILE or --identity-token-command, or run in GitHub Actions (permissions: id-token: write) or GitLab CI (id_tokens: SIGSTORE_ID_TOKEN: {aud: sigstore})")
	}
}

func (s Source) name() string {
	switch {
	case s.File != "":
		return s.File
	case s.Command != "":
		return "the command for a token"
	case s.Env(githubURL) != "":
		return "the server of " + githubURL
	default:
		return gitlabToken
	}
}

// run returns what a command prints, which is bounded.
func run(ctx context.Context, command string, stderr io.Writer) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	// What it started may hold the pipe open when it is gone.
	cmd.WaitDelay = time.Second
	var out limited
	cmd.Stdout, cmd.Stderr = &out, stderr
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("the command for a token: %w", err)
	}
	return string(out.kept), nil
}

// limited keeps the first bytes of what is written to it and refuses the rest.
// It must not have the buffer's ReadFrom, by which io.Copy would go round Write.
type limited struct{ kept []byte }

func (l *limited) Write(p []byte) (int, error) {
	if len(l.kept)+len(p) > maxToken {
		return 0, errTooMuch
	}
	l.kept = append(l.kept, p...)
	return len(p), nil
}

var errTooMuch = fmt.Errorf("it prints more than %d bytes", maxToken)

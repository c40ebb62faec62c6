// Command goldens makes the bundles in internal/verify/testdata/certified and
// internal/verify/testdata/cosign with a real private Sigstore, so that unit tests
// need none:
//
//	make goldens
//
// The files in certified are signed by our code. Each is named for what is special
// about its certificate; every one is a good signature on the subject of
// internal/verify's tests. Those in cosign are what the cosign command line makes.
// Times in the trusted roots are open at the end, so what is checked in never
// expires.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/sigstoretest"
)

// sets are the directories that are made, and what fills one.
var sets = map[string]func(context.Context, *sigstoretest.Stack, string) error{
	"certified": certified, "cosign": byCosign,
}

func main() {
	out := flag.String("out", "internal/verify/testdata", "directory to write")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: goldens [-out DIRECTORY] [certified] [cosign]")
		flag.PrintDefaults()
	}
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = []string{"certified", "cosign"}
	}
	for _, name := range names {
		if err := run(context.Background(), filepath.Join(*out, name), sets[name]); err != nil {
			fmt.Fprintf(os.Stderr, "goldens: %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

// run fills a directory by an instance of its own.
func run(ctx context.Context, out string, fill func(context.Context, *sigstoretest.Stack, string) error) (err error) {
	if fill == nil {
		return fmt.Errorf("there is no such set: certified and cosign are made")
	}
	s, err := sigstoretest.Start()
	if err != nil {
		return err
	}
	defer func() {
		if stopped := s.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := write(out, "trusted_root.json", s.TrustedRoot); err != nil {
		return err
	}
	return fill(ctx, s, out)
}

func certified(ctx context.Context, s *sigstoretest.Stack, out string) error {
	// The log takes a second for one entry or for many.
	group, ctx := errgroup.WithContext(ctx)
	for _, g := range goldens() {
		group.Go(func() error {
			data, err := g.sign(ctx, s)
			if err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
			return write(out, g.name+".json", data)
		})
	}
	return group.Wait()
}

// golden is one signature: by whom, and on what.
type golden struct {
	name    string
	issuer  sigstoretest.Issuer
	claims  sigstoretest.Claims
	subject sign.Subject
	// statement is signed in place of one that is a signature on subject.
	statement string
}

// subject is that of internal/verify's tests.
var subject = sign.Subject{Name: "line-monitor/1.4.0", Digest: digest.FromString("a bundle")}

func goldens() []golden {
	tag := sigstoretest.GitHubClaims("acme/hello", "refs/tags/v1.0.0")
	job := func(name string, changes sigstoretest.Claims) golden {
		return golden{name, sigstoretest.GitHub, tag.With(changes), subject, ""}
	}
	return []golden{
		job("tag", nil),
		job("branch", sigstoretest.GitHubClaims("acme/hello", "refs/heads/main")),
		job("fork", sigstoretest.GitHubClaims("evil/hello", "refs/tags/v1.0.0")),
		job("workflow", sigstoretest.Claims{"job_workflow_ref": "acme/hello/.github/workflows/test.yml@refs/tags/v1.0.0"}),
		// A reusable workflow of acme's that somebody else's repository calls.
		job("caller", sigstoretest.Claims{"repository": "evil/hello", "repository_owner": "evil", "sub": "repo:evil/hello:ref:refs/tags/v1.0.0"}),
		job("ref", sigstoretest.Claims{"ref": "refs/heads/main"}),
		job("trigger", sigstoretest.Claims{"event_name": "pull_request"}),
		job("runner", sigstoretest.Claims{"runner_environment": "self-hosted"}),
		{"gitlab", sigstoretest.GitLab, sigstoretest.GitLabClaims("acme/hello", "main"), subject, ""},
		{"person", sigstoretest.People, sigstoretest.PersonClaims("release@acme.example"), subject, ""},
		{"another-subject", sigstoretest.GitHub, tag, sign.Subject{Name: subject.Name, Digest: digest.FromString("another bundle")}, ""},
		{"another-kind", sigstoretest.GitHub, tag, subject, anotherKind},
		{"unnamed", sigstoretest.GitHub, tag, subject, unnamed},
	}
}

func (g golden) sign(ctx context.Context, s *sigstoretest.Stack) ([]byte, error) {
	services, err := sign.ParseSigningConfig(s.SigningConfig, time.Now())
	if err != nil {
		return nil, err
	}
	by := sign.Keyless{Services: services, Token: func(context.Context) (string, error) { return s.Mint(g.issuer, g.claims) }}
	if g.statement != "" {
		return by.Sign(ctx, []byte(g.statement))
	}
	return sign.Bundle(ctx, g.subject, by)
}

var (
	// anotherKind is good, about the same bundle, and no signature.
	anotherKind = fmt.Sprintf(`{"_type":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`,
		sign.StatementType, subject.Name, subject.Digest.Encoded())
	// unnamed is what other tools sign: the digest alone says what it is about.
	unnamed = fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
		sign.StatementType, subject.Digest.Encoded(), sign.PredicateType)
)

func write(dir, name string, data []byte) error {
	return os.WriteFile(filepath.Join(dir, name), data, 0o644)
}

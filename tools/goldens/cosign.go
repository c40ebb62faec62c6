package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/sigstoretest/cosign"
)

// What cosign signs: an index in a registry, and a file.
const (
	index    = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	artifact = "a file\n"
	// predicate is that of SLSA v1.
	predicate = `{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{},` +
		`"resolvedDependencies":[{"uri":"git+https://git.example.test/acme/hello@refs/tags/v1.0.0","digest":{"gitCommit":"8843d7f92416211de9ebb963ff4ce28125932878"}}]},` +
		`"runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"}}}`
)

// byCosign writes index.json and artifact.txt, and what cosign signs of them: by a
// job of acme/hello on a tag, and, as NAME-keyed.json, by the key cosign.pub.
func byCosign(ctx context.Context, s *sigstoretest.Stack, out string) error {
	dir, err := os.MkdirTemp("", "goldens-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ref, stop, err := serve(ctx, filepath.Join(dir, "registry"))
	if err != nil {
		return err
	}
	defer stop()
	c, err := cosign.New(s, dir)
	if err != nil {
		return err
	}
	if err := c.GenerateKey(ctx); err != nil {
		return err
	}
	public, err := os.ReadFile(filepath.Join(dir, "cosign.pub"))
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"artifact.txt": artifact, "index.json": index, "cosign.pub": string(public)} {
		if err := write(out, name, []byte(text)); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"artifact.txt": artifact, "predicate.json": predicate} {
		if err := write(dir, name, []byte(text)); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		name string
		args []string
	}{
		{"signature", []string{"sign", ref}},
		{"attestation", []string{"attest", "--type", "slsaprovenance1", "--predicate", "predicate.json", ref}},
		{"blob", []string{"sign-blob", "artifact.txt"}},
	} {
		if err := signBoth(ctx, s, c, filepath.Join(out, m.name), m.args); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// signBoth makes NAME.json and NAME-keyed.json.
func signBoth(ctx context.Context, s *sigstoretest.Stack, c *cosign.Program, name string, args []string) error {
	token, err := s.Mint(sigstoretest.GitHub, sigstoretest.GitHubClaims("acme/hello", "refs/tags/v1.0.0"))
	if err != nil {
		return err
	}
	for suffix, by := range map[string]cosign.By{".json": {Token: token}, "-keyed.json": {}} {
		data, err := c.Signing(ctx, by, args[0], args[1:]...)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name+suffix, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// serve is a registry that has the index, and the reference to it.
func serve(ctx context.Context, dir string) (ref string, stop func(), err error) {
	registry, err := oci.NewRegistry(oci.RegistryOptions{Dir: dir, CollectEvery: -1})
	if err != nil {
		return "", nil, err
	}
	server := httptest.NewServer(registry)
	stop = func() { server.Close(); _ = registry.Close(ctx) }
	client, err := oci.NewClient(oci.Options{})
	if err != nil {
		return "", stop, err
	}
	repo, err := client.Repository(strings.TrimPrefix(server.URL, "http://") + "/acme/hello")
	if err != nil {
		return "", stop, err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString(index), Size: int64(len(index))}
	return repo.Name() + "@" + string(desc.Digest), stop, repo.PushManifest(ctx, desc, []byte(index))
}

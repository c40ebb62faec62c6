package oci

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

// canned is a registry that answers every request with the same bytes.
func canned(f *testing.F) (host string, answer *atomic.Pointer[[]byte]) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = listener.Close() })
	answer = new(atomic.Pointer[[]byte])
	answer.Store(new([]byte)) // somebody else may knock before the first input
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_ = req.Body.Close()
					_, _ = conn.Write(*answer.Load())
				}
			}()
		}
	}()
	return listener.Addr().String(), answer
}

// Whatever a registry answers, with whatever headers, an operation ends with
// content that has its digest, or with a reason. The bytes are the whole answer:
// status, WWW-Authenticate, Link, Retry-After, Content-Range and body.
func FuzzAnswers(f *testing.F) {
	host, answer := canned(f)
	f.Setenv("DOCKER_CONFIG", f.TempDir())
	client, err := NewClient(Options{})
	if err != nil {
		f.Fatal(err)
	}
	body := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	d := digest.FromString(body)
	for _, head := range []string{"200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nDocker-Content-Digest: " + string(d),
		"401 U\r\nWWW-Authenticate: Bearer realm=\"http://" + host + "/token\",service=\"x\",scope=\"repository:a:pull\"", "401 U\r\nWWW-Authenticate: Basic realm=x",
		"401 U\r\nWWW-Authenticate: Bearer realm=\"https://[::1]:1/\\\"\",,=", "429 T\r\nRetry-After: 1", "503 S\r\nRetry-After: 99999999999999", "206 P\r\nContent-Range: bytes 2-85/86",
		"206 P\r\nContent-Range: bytes -1--1/-1", "200 OK\r\nLink: </v2/a/referrers/x?n=1>; rel=\"next\"\r\nContent-Type: application/vnd.oci.image.index.v1+json",
		"307 R\r\nLocation: http://169.254.169.254/", "307 R\r\nLocation: /v2/a/manifests/x", "404 N\r\nContent-Type: application/json", "200 OK\r\nContent-Encoding: gzip", "101 S\r\nUpgrade: x"} {
		f.Add([]byte("HTTP/1.1 " + head + "\r\nConnection: close\r\n\r\n" + body))
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"tok\r\nfffffffffffffff\r\n"))
	f.Add([]byte("HTTP/1.1 400 B\r\n\r\n" + `{"errors":[{"code":"X","message":"\u001b[2J","detail":{"a":[]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		answer.Store(&data)
		// A registry may ask for patience, which is not what is tested here.
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		repo, err := client.Repository(host + "/a")
		if err != nil {
			t.Fatal(err)
		}
		reasoned := func(op string, err error) {
			if err != nil && reason.Of(err) == reason.Internal && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: error without a reason: %v", op, err)
			}
			if err != nil && len(err.Error()) > 4000 {
				t.Errorf("%s: a message of %d bytes", op, len(err.Error()))
			}
		}
		desc, got, err := repo.Manifest(ctx, d, MaxManifestBytes)
		if reasoned("manifest", err); err == nil && (digest.FromBytes(got) != d || desc.Digest != d) {
			t.Errorf("accepted %q as %s", got, d)
		}
		blob := ocispec.Descriptor{MediaType: "a/b", Digest: d, Size: int64(len(body))}
		got, err = repo.BlobBytes(ctx, blob, 1<<10)
		if reasoned("blob", err); err == nil && string(got) != body {
			t.Errorf("accepted %q", got)
		}
		_, err = repo.ResolveTag(ctx, "x")
		reasoned("tag", err)
		_, err = repo.Referrers(ctx, blob, "")
		reasoned("referrers", err)
	})
}

// What a path asks of the registry stays below its directory.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{"/v2/acme/releases/manifests/tuf", "/v2/a/blobs/uploads/", "/v2/a/../b/manifests/x", "/v2/blobs/x/blobs/sha256:00", "/v2/a/tags/list", "/v2/%2e%2e/blobs/x", "/v2//manifests/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, asked string) {
		u, err := url.Parse(asked)
		if err != nil {
			return
		}
		to, ok := parseRoute(u.Path)
		if !ok || !validRepo(to.repo) {
			return
		}
		if path.Clean("/"+to.repo) != "/"+to.repo || strings.Contains(to.repo, "..") {
			t.Errorf("%q is the repository %q", asked, to.repo)
		}
		if validReference(to.ref) && strings.ContainsAny(to.ref, "/\\\x00") {
			t.Errorf("%q is the reference %q", asked, to.ref)
		}
	})
}

// A Docker configuration is found to hold secrets if Docker would find some.
func FuzzDockerConfig(f *testing.F) {
	for _, s := range []string{`{"auths":{"x":{"auth":"dTpw"}}}`, `{"auths":{"x":{}},"credsStore":"pass"}`, `{"auths":null}`, `[]`, `{"auths":{"x":{"identitytoken":"t"}}}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		secrets, err := hasSecrets(strings.NewReader(string(data)))
		if err != nil && !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge) {
			t.Errorf("refused as %q: %v", reason.Of(err), err)
		}
		if secrets && !json.Valid(data) {
			t.Errorf("secrets in %q", data)
		}
	})
}

package attacks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// places are the kinds of thing that a device asks a registry for.
var places = []string{
	"/plant/deployments/manifests/sha256:", "/plant/deployments/blobs/", "/acme/releases/manifests/sha256:",
	"/acme/releases/blobs/", "/acme/hello/manifests/sha256:", "/acme/hello/blobs/",
}

// TestAttackO3RelayThatEdits: one byte of every answer of one kind is another.
func TestAttackO3RelayThatEdits(t *testing.T) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			s := fresh(t)
			s.Refuses(t, reason.DigestMismatch, func() {
				s.Deploy(device, "1.1.0", map[string]string{"greeting": "edited"})
				s.Relay(editing(place))
			}, func() { s.Relay(nil) })
		})
	}
}

func editing(place string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, req *http.Request, registry http.Handler) {
		if req.Method != http.MethodGet || !strings.Contains(req.URL.Path, place) {
			registry.ServeHTTP(w, req)
			return
		}
		answer := httptest.NewRecorder()
		registry.ServeHTTP(answer, req)
		body := answer.Body.Bytes()
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
	}
}

// TestAttackO3RelayThatWithholds: every answer of one kind is "not found". That
// is a delay and no judgement: nothing changes and nothing is logged.
func TestAttackO3RelayThatWithholds(t *testing.T) {
	s := fresh(t)
	s.Deploy(device, "1.1.0", map[string]string{"greeting": "withheld"})
	for _, place := range append([]string{"/manifests/tuf"}, places...) {
		runs, journal, events := s.D.Runs(), len(s.D.Journal()), len(s.D.Events())
		s.Relay(func(w http.ResponseWriter, req *http.Request, registry http.Handler) {
			if strings.Contains(req.URL.Path, place) {
				http.NotFound(w, req)
				return
			}
			registry.ServeHTTP(w, req)
		})
		if _, err := s.D.Sync(); err == nil {
			t.Errorf("%s: the cycle ended well", place)
		}
		s.Untouched(t, runs, journal)
		for _, e := range s.D.Events()[events:] {
			if e != "refreshed" {
				t.Errorf("%s: the log says %s", place, e)
			}
		}
	}
	s.Relay(nil)
	s.Recovers(t)
}

// TestAttackO3RelayThatReplays: the tag always names what it named at first.
func TestAttackO3RelayThatReplays(t *testing.T) {
	s := fresh(t)
	first, _ := s.Head(s.Deployments)
	s.Recovers(t)
	s.Refuses(t, reason.Rollback, func() {
		s.Relay(func(w http.ResponseWriter, req *http.Request, registry http.Handler) {
			req.URL.Path = strings.Replace(req.URL.Path, "/plant/deployments/manifests/tuf", "/plant/deployments/manifests/"+first.Digest.String(), 1)
			registry.ServeHTTP(w, req)
		})
	}, func() { s.Relay(nil) })
}

// TestAttackT5PartsMixed: each part of one release in the place of the same part
// of another; both releases are whole and signed.
func TestAttackT5PartsMixed(t *testing.T) {
	parts := map[string][]digest.Digest{}
	s := fresh(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		parts[version] = s.parts(version)
	}
	if len(parts["1.0.0"]) != len(parts["1.1.0"]) {
		t.Fatalf("the releases have %d and %d parts", len(parts["1.0.0"]), len(parts["1.1.0"]))
	}
	mixed := 0
	for n, genuine := range parts["1.1.0"] {
		other := parts["1.0.0"][n]
		if other == genuine {
			continue
		}
		mixed++
		t.Run(fmt.Sprint("part ", n), func(t *testing.T) {
			s := fresh(t)
			s.Refuses(t, reason.DigestMismatch, func() {
				s.Deploy(device, "1.1.0", map[string]string{"greeting": "mixed"})
				s.Relay(func(w http.ResponseWriter, req *http.Request, registry http.Handler) {
					req.URL.Path = strings.Replace(req.URL.Path, genuine.String(), other.String(), 1)
					registry.ServeHTTP(w, req)
				})
			}, func() { s.Relay(nil) })
		})
	}
	if mixed < 8 {
		t.Errorf("only %d parts differ between the releases", mixed)
	}
}

// parts are the digests of everything of a release of hello that a device with
// Docker fetches, in an order that is the same for every release.
func (s *site) parts(version string) []digest.Digest {
	s.T.Helper()
	repo, target := s.Application("hello"), s.Release(version)
	var custom channel.ReleaseCustom
	s.Must(json.Unmarshal(target.Custom, &custom))
	out := []digest.Digest{}
	todo := []digest.Digest{target.Digest, custom.Evidence[0].Digest}
	for len(todo) > 0 {
		d := todo[0]
		todo, out = todo[1:], append(out, d)
		desc, data, err := repo.Manifest(s.Context(), d, oci.MaxManifestBytes)
		s.Must(err)
		children, err := oci.Children(desc.MediaType, data)
		s.Must(err)
		for _, c := range children {
			if c.ArtifactType == bundle.MediaTypeHelm {
				continue // the device applies the other profile, and never fetches this
			}
			if oci.IsManifest(c.MediaType) || strings.HasSuffix(path.Base(c.MediaType), "index.v1+json") {
				todo = append(todo, c.Digest)
			} else {
				out = append(out, c.Digest)
			}
		}
	}
	return out
}

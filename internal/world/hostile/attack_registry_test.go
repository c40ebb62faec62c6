package hostile_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// objects are what a cycle of a new device asks for, each once.
func (s *scene) objects() []string {
	s.T.Helper()
	s.front.Begin(hostile.Attack{On: hostile.Other, How: hostile.Closes})
	s.Must(fetch(s.device.Again(s.T)))
	var out []string
	for _, r := range s.front.Relent().Requests {
		if object := strings.TrimPrefix(strings.Fields(r)[1], "/v2/"); !slices.Contains(out, object) {
			out = append(out, object)
		}
	}
	return out
}

// TestAttackT9DroppedRequests: any one object is withheld. Then nothing is ready,
// and everything is as soon as it is served.
func TestAttackT9DroppedRequests(t *testing.T) {
	s := newScene(t)
	objects := s.objects()
	if len(objects) < 10 {
		t.Fatalf("a cycle asks for %q only", objects)
	}
	for n, object := range objects {
		t.Run(fmt.Sprint(n, " ", object[:strings.LastIndex(object, "/")]), func(t *testing.T) {
			s.T = t
			d := s.device.Again(t)
			s.suffer(t, hostile.Attack{On: hostile.Every, In: object, How: hostile.Closes}, unreachable, func() error {
				err := fetch(d)
				untouched(t, d, err)
				return err
			})
			if err := fetch(d); err != nil {
				t.Errorf("when it is served again: %v", err)
			}
		})
	}
}

// TestAttackO1TagFlips: a tag names another state at each request, both signed.
func TestAttackO1TagFlips(t *testing.T) {
	s := newScene(t)
	old, oldBytes := s.Head(s.Deployments)
	s.renew()
	n := 0
	flip := func(x hostile.Exchange) {
		if (x.N+n)%2 == 1 {
			hostile.Serves(old.MediaType, string(old.Digest), oldBytes)(x)
			return
		}
		x.Good.ServeHTTP(x.W, x.Req)
	}
	d := s.device.Again(t)
	for n = range 4 {
		s.suffer(t, hostile.Attack{On: hostile.Tag, In: "plant/deployments", How: flip}, codes(done, reason.Rollback), func() error {
			err := fetch(d)
			untouched(t, d, err)
			return err
		})
	}
	s.Must(fetch(d))
	s.suffer(t, hostile.Attack{On: hostile.Tag, In: "plant/deployments", How: hostile.Serves(old.MediaType, string(old.Digest), oldBytes)},
		codes(reason.Rollback), func() error { return fetch(d) })
	s.suffer(t, hostile.Attack{On: hostile.Tag, In: "plant/deployments", How: flip}, codes(reason.Conflict, reason.Rollback), func() error {
		return s.order(d.ID, oci.Limits{}, "flipped")
	})
}

// TestAttackO1ResolvedOnce: what a tag named is asked for by digest, and another
// manifest under it, as a later move of the tag would bring, is refused.
func TestAttackO1ResolvedOnce(t *testing.T) {
	s := newScene(t)
	old, oldBytes := s.Head(s.Deployments)
	s.renew()
	d := s.device.Again(t)
	other := func(x hostile.Exchange) {
		x.W.Header().Set("Content-Type", old.MediaType)
		_, _ = x.W.Write(oldBytes)
	}
	head, _ := s.Head(s.Deployments)
	s.suffer(t, hostile.Attack{On: hostile.Manifest, In: "plant/deployments/manifests/" + string(head.Digest), How: other},
		named("digest-mismatch"), func() error { return fetch(d) })
	if got := s.toll.Requests; slices.ContainsFunc(got, func(r string) bool { return r == "GET /v2/plant/deployments/manifests/tuf" }) {
		t.Errorf("a manifest was asked for by tag: %q", got)
	}
	s.Must(fetch(d))
}

// referrers answers the referrers API with so many entries of a page, and a link
// to the next page if there is one.
func referrers(entries int, more bool) hostile.Behaviour {
	return func(x hostile.Exchange) {
		index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
		index.SchemaVersion = 2
		for n := range entries {
			forged := describe(fmt.Append(nil, "forged ", x.N, " ", n))
			forged.ArtifactType = "application/vnd.consign.evidence.v1+json"
			index.Manifests = append(index.Manifests, forged)
		}
		data, _ := json.Marshal(index)
		if more {
			x.W.Header().Set("Link", fmt.Sprintf(`<%s?n=%d>; rel="next"`, x.Req.URL.Path, x.N))
		}
		hostile.Serves(ocispec.MediaTypeImageIndex, string(digest.FromBytes(data)), data)(x)
	}
}

// TestAttackO2Referrers: no verdict depends on what a registry lists as
// referrers, and whoever looks at them is not flooded.
func TestAttackO2Referrers(t *testing.T) {
	s := newScene(t)
	for name, how := range map[string]hostile.Behaviour{
		"dropped": hostile.Status(http.StatusNotFound), "forged": referrers(10, false), "ten thousand": referrers(10000, false),
	} {
		d := s.device.Again(t)
		s.front.Begin(hostile.Attack{On: hostile.Other, How: how})
		err := fetch(d)
		if toll := s.front.Relent(); err != nil || toll.Hits != 0 {
			t.Errorf("%s: %v; a device asked for referrers %d times", name, err, toll.Hits)
		}
	}
	repo, err := s.ClientWith(oci.Limits{}).Repository(s.Host + "/acme/hello")
	s.Must(err)
	for name, how := range map[string]hostile.Behaviour{"ten thousand": referrers(10000, false), "pages without end": referrers(10, true)} {
		s.suffer(t, hostile.Attack{On: hostile.Other, How: how}, codes(reason.TooLarge, reason.Unreachable), func() error {
			list, err := repo.Referrers(s.Context(), describe([]byte("x")), "")
			if len(list) > 1000 {
				t.Errorf("%s: %d entries", name, len(list))
			}
			return err
		})
		if s.toll.Hits > 100 {
			t.Errorf("%s: %d pages were asked for", name, s.toll.Hits)
		}
	}
}

// TestAttackO4Confusion: a channel's tag names a document that is something else,
// or two things at once.
func TestAttackO4Confusion(t *testing.T) {
	s := newScene(t)
	_, genuine := s.Head(s.Deployments)
	for name, edit := range map[string]func(doc map[string]any){
		"another artifact type": func(doc map[string]any) { doc["artifactType"] = "application/vnd.consign.bundle.v1+json" },
		"no artifact type":      func(doc map[string]any) { delete(doc, "artifactType") },
		"an index by its type":  func(doc map[string]any) { doc["mediaType"] = ocispec.MediaTypeImageIndex },
		"an index as well":      func(doc map[string]any) { doc["manifests"] = doc["layers"] },
		"Docker's layers":       func(doc map[string]any) { doc["fsLayers"] = doc["layers"] },
		"Layers and layers":     func(doc map[string]any) { doc["Layers"] = []any{} },
		"another config":        func(doc map[string]any) { doc["config"] = doc["layers"].([]any)[0] },
	} {
		t.Run(name, func(t *testing.T) {
			s.T = t
			desc, data := edited(genuine, edit)
			d := s.device.Again(t)
			s.suffer(t, hostile.Attack{On: hostile.Tag | hostile.Manifest, In: "plant/deployments", How: hostile.Serves(desc.MediaType, string(desc.Digest), data)},
				named("malformed"), func() error {
					err := fetch(d)
					untouched(t, d, err)
					return err
				})
		})
	}
}

// TestAttackO4BothKinds: a manifest that is an index to one reader and an image to
// another is neither to ours.
func TestAttackO4BothKinds(t *testing.T) {
	s := newScene(t)
	client := s.ClientWith(oci.Limits{})
	repo, err := client.Repository(s.Host + "/acme/hello")
	s.Must(err)
	_, genuine := s.Head(s.Deployments)
	for _, kind := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex} {
		desc, data := edited(genuine, func(doc map[string]any) {
			doc["mediaType"], doc["manifests"] = kind, []any{}
		})
		desc.MediaType = kind
		s.suffer(t, hostile.Attack{On: hostile.Manifest, How: hostile.Serves(kind, string(desc.Digest), data)}, named("malformed"), func() error {
			_, got, err := repo.Manifest(s.Context(), desc.Digest, oci.MaxManifestBytes)
			s.Must(err)
			_, err = oci.Children(kind, got)
			return err
		})
	}
}

// TestAttackO7Content: other content than the descriptor says, at each place.
func TestAttackO7Content(t *testing.T) {
	s := newScene(t)
	for _, at := range []struct {
		name string
		on   hostile.Class
		in   string
	}{
		{"metadata", hostile.Blob, "plant/deployments"},
		{"channel manifest", hostile.Manifest, "acme/releases"},
		{"bundle manifest", hostile.Manifest, "acme/hello"},
		{"evidence", hostile.Blob, "acme/hello"},
		{"layer", hostile.Blob, s.layer()},
	} {
		t.Run(at.name, func(t *testing.T) {
			s.T = t
			d := s.device.Again(t)
			for _, how := range []hostile.Behaviour{hostile.OneMore, hostile.Longer, hostile.Shorter, hostile.Empty, hostile.OtherContent, hostile.OneBit} {
				s.suffer(t, hostile.Attack{On: at.on, In: at.in, How: how}, wrong, func() error {
					err := fetch(d)
					untouched(t, d, err)
					return err
				})
			}
			s.suffer(t, hostile.Attack{On: at.on, In: at.in, How: hostile.OneLess}, codes(reason.DigestMismatch, reason.Unreachable), func() error { return fetch(d) })
			s.Must(fetch(d))
		})
	}
}

// TestAttackO7SecondRead: the first answer is right, the next one has another bit.
func TestAttackO7SecondRead(t *testing.T) {
	s := newScene(t)
	s.suffer(t, hostile.Attack{On: hostile.Bodies, In: "plant/deployments", How: hostile.OneBitLater}, wrong, func() error {
		return s.order("press-07", oci.Limits{}, "second read")
	})
	s.Must(s.order("press-07", oci.Limits{}, "good"))
}

// TestAttackO11Digests: other forms of digests, told for a tag and in a manifest.
func TestAttackO11Digests(t *testing.T) {
	s := newScene(t)
	head, genuine := s.Head(s.Deployments)
	hex := head.Digest.Encoded()
	for name, d := range map[string]string{
		"upper case": "sha256:" + strings.ToUpper(hex), "upper case algorithm": "SHA256:" + hex, "short": "sha256:" + hex[:40],
		"truncated": "sha256:" + hex[:63], "long": "sha256:" + hex + "0", "sha512": "sha512:" + hex + hex, "md5": "md5:" + hex[:32],
		"without algorithm": hex, "with a path": "sha256:" + hex + "/../x", "two": "sha256:" + hex + ",sha256:" + hex,
	} {
		t.Run(name, func(t *testing.T) {
			s.T = t
			dev := s.device.Again(t)
			s.suffer(t, hostile.Attack{On: hostile.Tag, In: "plant/deployments", How: hostile.TellsDigest(d)}, named("malformed"), func() error { return fetch(dev) })
			desc, data := edited(genuine, func(doc map[string]any) { doc["layers"].([]any)[0].(map[string]any)["digest"] = d })
			s.suffer(t, hostile.Attack{On: hostile.Tag | hostile.Manifest, In: "plant/deployments", How: hostile.Serves(desc.MediaType, string(desc.Digest), data)},
				named("malformed"), func() error { return fetch(dev) })
		})
	}
}

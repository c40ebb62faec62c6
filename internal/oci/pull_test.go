package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

// attack O7 over HTTP, and what registries make of a byte range.
func TestBlobAnswers(t *testing.T) {
	blob := content(10000, 1)
	desc := describe(octets, blob)
	send := func(status int, contentRange string, data []byte, length int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if contentRange != "" {
				w.Header().Set("Content-Range", contentRange)
			}
			if length >= 0 {
				w.Header().Set("Content-Length", fmt.Sprint(length))
			}
			w.WriteHeader(status)
			_ = http.NewResponseController(w).Flush() // chunked where no length was set
			_, _ = w.Write(data)
		}
	}
	ok, partial := http.StatusOK, http.StatusPartialContent
	for _, c := range []struct {
		name   string
		offset int64
		h      http.HandlerFunc
		want   reason.Code
	}{
		{"all", 0, send(ok, "", blob, 10000), ""},
		{"all, length unknown", 0, send(ok, "", blob, -1), ""},
		{"range", 4000, send(partial, "bytes 4000-9999/10000", blob[4000:], 6000), ""},
		{"range, total unknown", 4000, send(partial, "bytes 4000-9999/*", blob[4000:], 6000), ""},
		{"range ignored", 4000, send(ok, "", blob, 10000), ""},
		{"range ignored, length unknown", 4000, send(ok, "", blob, -1), ""},
		{"offers more", 0, send(ok, "", append(bytes.Clone(blob), 1), 10001), reason.TooLarge},
		{"sends more", 0, send(ok, "", append(bytes.Clone(blob), 1), -1), reason.TooLarge},
		{"range sends more", 4000, send(partial, "bytes 4000-9999/10000", append(blob[4000:10000:10000], 1), -1), reason.TooLarge},
		{"offers less", 0, send(ok, "", blob[:9999], 9999), reason.DigestMismatch},
		{"breaks off", 0, send(ok, "", blob[:9999], 10000), reason.Unreachable},
		{"ends early, length unknown", 0, send(ok, "", blob[:9999], -1), reason.Unreachable},
		{"ignores the range and breaks off before", 4000, send(ok, "", blob[:3000], 10000), reason.Unreachable},
		{"another range", 4000, send(partial, "bytes 3999-9999/10000", blob[3999:], 6001), reason.Malformed},
		{"a shorter range", 4000, send(partial, "bytes 4000-5000/10000", blob[4000:5001], 1001), reason.Malformed},
		{"range without header", 4000, send(partial, "", blob[4000:], 6000), reason.Malformed},
		{"range of something longer", 4000, send(partial, "bytes 4000-9999/20000", blob[4000:], 6000), reason.TooLarge},
		{"no such range", 4000, send(http.StatusRequestedRangeNotSatisfiable, "bytes */3000", nil, 0), reason.DigestMismatch},
		{"gone", 4000, send(http.StatusNotFound, "", nil, 0), reason.Unreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			repo, _ := answer(t, Options{}, c.h)
			rc, err := repo.Blob(t.Context(), desc, c.offset)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(rc)
				_ = rc.Close()
			}
			if reason.Of(err) != c.want {
				t.Fatalf("error %v, want reason %q", err, c.want)
			}
			if err == nil && !bytes.Equal(got, blob[c.offset:]) {
				t.Error("other content came out")
			}
		})
	}
}

func TestBlobIsAskedForSensibly(t *testing.T) {
	repo, srv := answer(t, Options{}, func(http.ResponseWriter, *http.Request) {})
	desc := describe(octets, []byte("12345"))
	for _, offset := range []int64{-1, 6} {
		if _, err := repo.Blob(t.Context(), desc, offset); err == nil {
			t.Errorf("offset %d of 5 was accepted", offset)
		}
	}
	if rc, err := repo.Blob(t.Context(), desc, 5); err != nil {
		t.Error(err)
	} else if data, err := io.ReadAll(rc); err != nil || len(data) != 0 {
		t.Errorf("at the end: %q, %v", data, err)
	}
	desc.Digest = "sha256:../../secret"
	if _, err := repo.Blob(t.Context(), desc, 0); !reason.Is(err, reason.Malformed) {
		t.Errorf("a path as digest: %v", err)
	}
	if requests, _ := srv.reset(); len(requests) != 0 {
		t.Errorf("requests %q for nothing", requests)
	}
}

// attack O1, O4: the answer to a manifest is judged by its bytes.
func TestManifestAnswers(t *testing.T) {
	index := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	for _, c := range []struct {
		name, contentType string
		body              []byte
		max               int64
		want              reason.Code
	}{
		{"right", ocispec.MediaTypeImageIndex, index, 4096, ""},
		{"lies about its type", "text/html", index, 4096, ""},
		{"other bytes", ocispec.MediaTypeImageIndex, append(bytes.Clone(index), '\n'), 4096, reason.DigestMismatch},
		{"longer than asked for", ocispec.MediaTypeImageIndex, index, int64(len(index)) - 1, reason.TooLarge},
		{"longer than any", ocispec.MediaTypeImageIndex, make([]byte, MaxManifestBytes+1), 1 << 40, reason.TooLarge},
	} {
		repo, _ := answer(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.contentType)
			w.Header().Set(headerDigest, string(digest.FromBytes(index))) // the registry's word is not believed
			_, _ = w.Write(c.body)
		})
		desc, _, err := repo.Manifest(t.Context(), digest.FromBytes(index), c.max)
		if reason.Of(err) != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err == nil && desc.MediaType != ocispec.MediaTypeImageIndex {
			t.Errorf("%s: media type %q", c.name, desc.MediaType)
		}
	}
}

// Names that do not parse never become part of a URL (attack T14).
func TestHostileTagsAreNotAskedFor(t *testing.T) {
	repo, srv := answer(t, Options{}, func(http.ResponseWriter, *http.Request) {})
	manifest := []byte(`{"schemaVersion":2,"manifests":[]}`)
	for _, tag := range []string{"", "../x", "a/b", "a?b", "a b", "a\x00", string(bytes.Repeat([]byte("a"), 129)), "-a", "é"} {
		if _, err := repo.ResolveTag(t.Context(), tag); !reason.Is(err, reason.Malformed) {
			t.Errorf("resolve %q: %v", tag, err)
		}
		if err := repo.Tag(t.Context(), describe(ocispec.MediaTypeImageIndex, manifest), manifest, tag, ""); !reason.Is(err, reason.Malformed) {
			t.Errorf("tag %q: %v", tag, err)
		}
	}
	if requests, _ := srv.reset(); len(requests) != 0 {
		t.Errorf("requests %q", requests)
	}
}

// attack O2: a registry that lists ten thousand referrers.
func TestReferrersAreBounded(t *testing.T) {
	repo, _ := answer(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		refs := make([]ocispec.Descriptor, 10000)
		for i := range refs {
			refs[i] = describe(ocispec.MediaTypeImageManifest, fmt.Append(nil, i))
		}
		data, _ := encodeIndex(refs)
		_, _ = w.Write(data)
	})
	if _, err := repo.Referrers(t.Context(), describe(octets, nil), ""); !reason.Is(err, reason.TooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestReferrersWithoutTheAPI(t *testing.T) {
	reg := newRegistry(t, RegistryOptions{})
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if to, _ := parseRoute(req.URL.Path); to.kind == "referrers" {
			http.NotFound(w, req)
			return
		}
		reg.ServeHTTP(dropSubject{w}, req)
	}))
	repo := repository(t, newClient(t, Options{}), srv.host()+"/acme/app")
	subject, _ := push(t, repo, nil, []byte("subject"))
	evidence, _ := push(t, repo, &subject, []byte("evidence"))
	found, err := repo.Referrers(t.Context(), subject, "application/vnd.example.thing")
	if err != nil || len(found) != 1 || found[0].Digest != evidence.Digest {
		t.Errorf("found %v, %v", found, err)
	}
}

// dropSubject hides that the registry knows referrers.
type dropSubject struct{ http.ResponseWriter }

func (w dropSubject) WriteHeader(status int) {
	w.Header().Del("OCI-Subject")
	w.ResponseWriter.WriteHeader(status)
}

func TestPushSendsOnlyTheContent(t *testing.T) {
	_, srv, repo := start(t)
	data := content(100<<10, 1)
	desc := describe(octets, data)
	wrong := bytes.Clone(data)
	wrong[len(wrong)-1] ^= 1
	if err := repo.PushBlob(t.Context(), desc, opener(wrong)); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("other bytes: %v", err)
	}
	if err := repo.PushBlob(t.Context(), desc, opener(data[:10])); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("too few bytes: %v", err)
	}
	boom := errors.New("boom")
	if err := repo.PushBlob(t.Context(), desc, func() (io.ReadCloser, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Errorf("an opener that fails: %v", err)
	}
	if has, err := repo.HasBlob(t.Context(), desc); has || err != nil {
		t.Errorf("the registry has it: %t, %v", has, err)
	}
	for _, d := range [][]byte{data, nil} { // empty blobs are content too
		if err := repo.PushBlob(t.Context(), describe(octets, d), opener(d)); err != nil {
			t.Error(err)
		}
		if got, err := repo.BlobBytes(t.Context(), describe(octets, d), 1<<20); err != nil || !bytes.Equal(got, d) {
			t.Errorf("read back %d bytes, %v", len(got), err)
		}
	}
	manifest, bytesOf := image(t, nil, desc)
	if err := repo.PushManifest(t.Context(), manifest, append(bytesOf, ' ')); !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("other manifest bytes: %v", err)
	}
	srv.reset()
	if err := repo.PushManifest(t.Context(), describe(octets, data), data); !reason.Is(err, reason.Malformed) {
		t.Errorf("a blob as manifest: %v", err)
	}
	if requests, _ := srv.reset(); len(requests) != 0 {
		t.Errorf("requests %q", requests)
	}
}

// A PUT whose body cannot be rewound is sent again with the content opened again.
func TestPushIsTriedAgain(t *testing.T) {
	reg := newRegistry(t, RegistryOptions{})
	refused := 0
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if to, _ := parseRoute(req.URL.Path); to.kind == "uploads" && req.Method == http.MethodPut && refused == 0 {
			refused++
			_, _ = io.Copy(io.Discard, req.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		reg.ServeHTTP(w, req)
	}))
	repo := repository(t, newClient(t, Options{}), srv.host()+"/acme/app")
	data, opened := content(1000, 1), 0
	err := repo.PushBlob(t.Context(), describe(octets, data), func() (io.ReadCloser, error) { opened++; return opener(data)() })
	if err != nil || opened != 2 {
		t.Errorf("opened %d times, %v", opened, err)
	}
}

func TestMount(t *testing.T) {
	_, srv, repo := start(t)
	data := content(50<<10, 1)
	desc := describe(octets, data)
	push(t, repo, nil, data)
	srv.reset()
	sibling := repository(t, repo.client, srv.host()+"/acme/app/web")
	if err := sibling.MountBlob(t.Context(), desc, "acme/app"); err != nil {
		t.Fatal(err)
	}
	requests, received := srv.reset()
	if received != 0 || len(requests) != 2 {
		t.Errorf("%d bytes were sent, %q", received, requests)
	}
	if got, err := sibling.BlobBytes(t.Context(), desc, desc.Size); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	for _, from := range []string{"", "../acme", "acme/app:1", "other.example/acme/app?x"} {
		if err := sibling.MountBlob(t.Context(), describe(octets, []byte("n")), from); !reason.Is(err, reason.Malformed) {
			t.Errorf("mount from %q: %v", from, err)
		}
	}
	if err := sibling.MountBlob(t.Context(), describe(octets, []byte("n")), "acme/none"); err == nil {
		t.Error("mounted what is nowhere")
	}
}

// A registry that cannot mount gets the bytes.
func TestMountWhereItIsNotOffered(t *testing.T) {
	reg := newRegistry(t, RegistryOptions{})
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { reg.ServeHTTP(w, withoutMount(req)) }))
	client := newClient(t, Options{})
	data := content(50<<10, 1)
	push(t, repository(t, client, srv.host()+"/acme/app"), nil, data)
	sibling := repository(t, client, srv.host()+"/acme/app/web")
	if err := sibling.MountBlob(t.Context(), describe(octets, data), "acme/app"); err != nil {
		t.Fatal(err)
	}
	if got, err := sibling.BlobBytes(t.Context(), describe(octets, data), 1<<20); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

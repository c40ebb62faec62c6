package oci

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

const elsewhere = "registry.example:5000/acme/app"

// newMedia is a directory with one image under the tag "tuf", written as a
// publisher does, and a reader of it.
func newMedia(t testing.TB) (dir string, read *Repository) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "media")
	w, err := NewDirectoryWriter(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	to := repository(t, w, elsewhere)
	desc, data := push(t, to, nil, content(1<<20, 1))
	if err := to.Tag(context.Background(), desc, data, "tuf", IfAbsent); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, repository(t, newReader(t, dir), elsewhere)
}

func newReader(t testing.TB, dir string) *Client {
	t.Helper()
	c, err := NewDirectoryReader(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestADirectoryIsReadLikeARegistry(t *testing.T) {
	ctx := context.Background()
	dir, read := newMedia(t)
	desc, err := read.ResolveTag(ctx, "tuf")
	if err != nil {
		t.Fatal(err)
	}
	if err := Confirm(ctx, read, desc, true); err != nil {
		t.Error(err)
	}
	if err := Confirm(ctx, read, desc, false); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"registry.example:5000/acme/other", "registry.example/acme/app", "registry.example:5001/acme/app"} {
		if _, err := repository(t, newReader(t, dir), name).ResolveTag(ctx, "tuf"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := read.ResolveTag(ctx, "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tag: %v", err)
	}
	if err := read.PushBlob(ctx, describe(octets, []byte("x")), opener([]byte("x"))); err == nil {
		t.Error("a reader wrote")
	}
	rest, err := read.Blob(ctx, describe(octets, content(1<<20, 1)), 1<<20-3)
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	tail := make([]byte, 8)
	if n, _ := rest.Read(tail); string(tail[:n]) != string(content(1<<20, 1)[1<<20-3:]) {
		t.Errorf("the tail is %x", tail[:n])
	}
}

// What a directory holds is served by the embedded registry as it is.
func TestADirectoryCanBeServed(t *testing.T) {
	dir, _ := newMedia(t)
	srv := serve(t, newRegistry(t, RegistryOptions{Dir: dir}))
	mirror := repository(t, newClient(t, Options{}), srv.host()+"/registry.example_5000/acme/app")
	desc, err := mirror.ResolveTag(context.Background(), "tuf")
	if err != nil {
		t.Fatal(err)
	}
	if err := Confirm(context.Background(), mirror, desc, true); err != nil {
		t.Error(err)
	}
}

// Attack O12: the directory is the attacker's.
func TestAttackO12HostileDirectory(t *testing.T) {
	layer := describe(octets, content(1<<20, 1))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	move := func(path string) string {
		must(os.Rename(path, path+".moved"))
		return path + ".moved"
	}
	tests := []struct {
		name string
		do   func(dir, repo, blob string)
		want reason.Code
	}{
		{"other bytes", func(_, _, blob string) { must(os.WriteFile(blob, content(1<<20, 2), 0o600)) }, reason.DigestMismatch},
		{"fewer bytes", func(_, _, blob string) { must(os.Truncate(blob, 1<<20-1)) }, reason.DigestMismatch},
		{"more bytes", func(_, _, blob string) { must(os.Truncate(blob, 1<<40)) }, reason.TooLarge},
		{"a link to the right bytes", func(_, _, blob string) { must(os.Symlink(move(blob), blob)) }, reason.Malformed},
		{"a directory", func(_, _, blob string) { move(blob); must(os.Mkdir(blob, 0o700)) }, reason.Malformed},
		{"a FIFO", func(_, _, blob string) { move(blob); must(syscall.Mkfifo(blob, 0o600)) }, reason.Malformed},
		{"a linked repository", func(_, repo, _ string) { must(os.Symlink(move(repo), repo)) }, reason.Malformed},
		{"a linked blob directory", func(_, _, blob string) { d := filepath.Dir(blob); must(os.Symlink(move(d), d)) }, reason.Malformed},
		{"a linked host", func(dir, _, _ string) {
			h := filepath.Join(dir, "registry.example_5000")
			must(os.Symlink(move(h), h))
		}, reason.Malformed},
		{"a linked index", func(_, repo, _ string) { i := filepath.Join(repo, "index.json"); must(os.Symlink(move(i), i)) }, reason.Malformed},
		{"an index without end", func(_, repo, _ string) { must(os.Truncate(filepath.Join(repo, "index.json"), 1<<40)) }, reason.TooLarge},
		{"an index that is none", func(_, repo, _ string) { must(os.WriteFile(filepath.Join(repo, "index.json"), []byte("[]"), 0o600)) }, reason.Malformed},
		{"the blob is gone", func(_, _, blob string) { move(blob) }, reason.Unreachable},
		{"the host is a file", func(dir, _, _ string) {
			h := filepath.Join(dir, "registry.example_5000")
			move(h)
			must(os.WriteFile(h, nil, 0o600))
		}, reason.Unreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, read := newMedia(t)
			repo := filepath.Join(dir, "registry.example_5000", "acme", "app")
			tt.do(dir, repo, filepath.Join(repo, "blobs", "sha256", layer.Digest.Encoded()))
			desc, err := read.ResolveTag(context.Background(), "tuf")
			if err == nil {
				err = Confirm(context.Background(), read, desc, true)
			}
			if !reason.Is(err, tt.want) {
				t.Fatalf("%v, want reason %s", err, tt.want)
			}
			if tt.want == reason.Malformed && strings.Contains(tt.name, "link") && !strings.Contains(err.Error(), "links are not followed") {
				t.Errorf("the message does not speak of links: %v", err)
			}
		})
	}
}

// Names in a request are no way out of the directory, whoever makes it.
func TestADirectoryHasNoWayUp(t *testing.T) {
	dir, _ := newMedia(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, path := range []string{
		"/v2/../blobs/secret", "/v2/a/../../blobs/secret", "/v2/a/blobs/..", "/v2/a/blobs/../../../secret", "/v2/a/manifests/../../secret", "/secret", "//secret",
		"/v2/registry.example_5000/acme/app/blobs/../../index.json", "/v2/registry.example_5000/acme/app/manifests/.%2e",
	} {
		answer := newRecorder()
		req, err := http.NewRequest(http.MethodGet, "http://localhost", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Path = path
		d.ServeHTTP(answer, req)
		if answer.status < 400 {
			t.Errorf("%s: %d %q", path, answer.status, answer.body.String())
		}
	}
	if _, _, err := d.openAt("../secret", 0); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the kernel was not asked to stay below: %v", err)
	}
}

func TestAWriterTouchesNothingOfOthers(t *testing.T) {
	dir, _ := newMedia(t)
	if w, err := NewDirectoryWriter(dir, Options{}); err != nil {
		t.Error(err)
	} else if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "registry.example")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewDirectoryWriter(dir, Options{}); !reason.Is(err, reason.Path) {
		t.Errorf("with a link: %v", err)
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, uploadsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := NewDirectoryWriter(home, Options{}); !reason.Is(err, reason.Path) {
		t.Errorf("a directory of others: %v", err)
	}
	if _, err := os.Stat(filepath.Join(home, uploadsDir)); err != nil {
		t.Error(err)
	}
}

func TestLocalPath(t *testing.T) {
	for in, want := range map[string]string{
		"registry.example/acme/releases":      "registry.example/acme/releases",
		"registry.example:5000/acme/releases": "registry.example_5000/acme/releases",
		"127.0.0.1:5000/a":                    "127.0.0.1_5000/a",
		"registry.example_5000/a":             "",
		"registry.example:5_0/a":              "",
		"registry.example:/a":                 "",
		"Registry.example/a":                  "",
		"[::1]:5000/a":                        "",
		"registry.example/blobs/a":            "",
		"index.json/a":                        "",
		"..:1/a":                              "",
		"registry.example/../a":               "",
		"registry.example":                    "",
		"":                                    "",
	} {
		got, err := LocalPath(in)
		if got != want || (want == "") != reason.Is(err, reason.Malformed) {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzTaggedIn(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:`+strings.Repeat("0", 64)+`","size":1,"annotations":{"org.opencontainers.image.ref.name":"tuf"}}]}`), "tuf")
	f.Add([]byte(`{"manifests":null}`), "tuf")
	f.Fuzz(func(t *testing.T, data []byte, tag string) {
		d, err := taggedIn(data, tag)
		switch {
		case err == nil:
			if _, err := ParseDigest(string(d)); err != nil {
				t.Error(err)
			}
		case errors.Is(err, fs.ErrNotExist):
		case !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge):
			t.Error(err)
		}
	})
}

// Attack T27: a reader that tells "Annotations" from "annotations" would find
// another entry, or none.
func TestATagHasOneReading(t *testing.T) {
	entry := `{"mediaType":"a/b","digest":"sha256:` + strings.Repeat("0", 64) + `","size":1,"annotations":{"org.opencontainers.image.ref.name":"tuf"}`
	for _, tag := range []string{"tuf", "hidden"} {
		_, err := taggedIn([]byte(`{"manifests":[`+entry+`,"Annotations":{"org.opencontainers.image.ref.name":"hidden"}}]}`), tag)
		if !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: %v", tag, err)
		}
	}
}

func TestTwoEntriesWithOneTagAreRefused(t *testing.T) {
	entry := `{"mediaType":"a/b","digest":"sha256:` + strings.Repeat("0", 64) + `","size":1,"annotations":{"org.opencontainers.image.ref.name":"tuf"}}`
	if _, err := taggedIn([]byte(`{"manifests":[`+entry+`,`+entry+`]}`), "tuf"); !reason.Is(err, reason.Malformed) {
		t.Error(err)
	}
}

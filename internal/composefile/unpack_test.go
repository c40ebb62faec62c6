package composefile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/composefile/hostile"
	"github.com/consign-dev/consign/internal/reason"
)

const smallCompose = "services:\n  web:\n    image: example.com/web:1\n"

// entry is one tar entry of an archive made by a test.
type entry struct {
	tar.Header
	body string
}

func file(name, body string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, body}
}

func special(name string, flag byte, link string) entry {
	return entry{tar.Header{Name: name, Typeflag: flag, Linkname: link, Mode: 0o644}, ""}
}

func makeTar(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		e.Size = int64(len(e.body))
		if err := tw.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zip(t testing.TB, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if _, err := zw.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func archiveOf(t testing.TB, entries ...entry) []byte { return zip(t, makeTar(t, entries...)) }

func TestUnpackAcceptsWhatCommonToolsWrite(t *testing.T) {
	got, err := Unpack(archiveOf(t,
		special("./", tar.TypeDir, ""), special("./app/", tar.TypeDir, ""),
		file("./app/compose.yaml", smallCompose),
		entry{tar.Header{Name: "app/conf/a.conf", Typeflag: tar.TypeReg, Mode: 0o7777}, "a"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || string(got["conf/a.conf"]) != "a" || string(got[ComposeFile]) != smallCompose {
		t.Errorf("got %q", got)
	}
}

// What an archive is not; attacks A1 to A6 have tests of their own.
func TestUnpackRefuses(t *testing.T) {
	good := file("app/compose.yaml", smallCompose)
	cases := map[string]struct {
		archive []byte
		code    reason.Code
	}{
		"truncated":               {archiveOf(t, good)[:40], reason.Archive},
		"not gzip":                {makeTar(t, good), reason.Archive},
		"empty":                   {nil, reason.Archive},
		"two top directories":     {archiveOf(t, good, file("other/x", "x")), reason.Archive},
		"file outside":            {archiveOf(t, good, file("x", "x")), reason.Archive},
		"compose.yaml at the top": {archiveOf(t, file("compose.yaml", "x")), reason.Archive},
		"no compose.yaml":         {archiveOf(t, file("app/docker-compose.yml", "x")), reason.Archive},
		"git's global header":     {archiveOf(t, entry{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}, ""}, good), reason.Archive},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Unpack(c.archive)
			if !reason.Is(err, c.code) {
				t.Errorf("got %v, want reason %s", err, c.code)
			}
		})
	}
}

func TestUnpackHoldsItsMemoryBound(t *testing.T) {
	big := make([]byte, MaxContents+1)
	for i := range big {
		big[i] = byte(i * i >> 3)
	}
	_, err := Unpack(archiveOf(t, file("app/compose.yaml", smallCompose), file("app/big", string(big[:MaxArchive/2])), file("app/c", string(big))))
	if !reason.Is(err, reason.TooLarge) {
		t.Errorf("got %v", err)
	}
}

func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The digest is written down: it must be the same on every machine, and for
// every version of the Go library.
func TestPackIsTheSameEverywhere(t *testing.T) {
	dir := writeTree(t, map[string]string{"compose.yaml": smallCompose, "conf/a": "1", "conf/b": "2"})
	got, err := Pack(dir)
	if err != nil {
		t.Fatal(err)
	}
	const want = "sha256:f14123f2245bf5e00ad51a147aabbd7507986c93d12abb7c5dae6cb9b3fc0aa3"
	if d := digest.FromBytes(got); d != want {
		t.Errorf("digest %s, want %s", d, want)
	}
	files, err := Unpack(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 3 || string(files["conf/b"]) != "2" {
		t.Errorf("got %q", files)
	}
}

func TestPackRefusesLinksAndIncompleteDirectories(t *testing.T) {
	linked := writeTree(t, map[string]string{"compose.yaml": smallCompose})
	if err := os.Symlink("/etc/passwd", filepath.Join(linked, "passwd")); err != nil {
		t.Fatal(err)
	}
	if _, err := Pack(linked); !reason.Is(err, reason.Archive) {
		t.Errorf("link: %v", err)
	}
	if _, err := Pack(writeTree(t, map[string]string{"docker-compose.yml": smallCompose})); !reason.Is(err, reason.Archive) {
		t.Errorf("no compose.yaml: %v", err)
	}
}

// What is accepted is a plain tree within the bounds, and the same for a reader
// that knows none of our rules.
func FuzzUnpack(f *testing.F) {
	f.Add(archiveOf(f, file("app/compose.yaml", smallCompose)))
	packed, err := Pack(writeTree(f, map[string]string{"compose.yaml": smallCompose, "conf/a.conf": "a"}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	for _, row := range []string{"A1", "A2", "A3", "A5", "A6"} {
		for _, a := range hostile.Archives(row, "/outside") {
			f.Add(a.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := Unpack(data)
		if err != nil {
			if reason.Of(err) == reason.Internal {
				t.Errorf("error without a reason: %v", err)
			}
			return
		}
		if files[ComposeFile] == nil {
			t.Error("accepted without a Compose file")
		}
		total := 0
		for name, body := range files {
			if total += len(body); !filepath.IsLocal(name) || name != path.Clean(name) {
				t.Errorf("accepted the name %q", name)
			}
		}
		if int64(total) > format.MostPlain(len(data)) {
			t.Errorf("accepted %d bytes", total)
		}
		if theirs := plainly(t, data); !maps.EqualFunc(files, theirs, bytes.Equal) {
			t.Errorf("read %q, others read %q", files, theirs)
		}
	})
}

// plainly reads an archive as any program would: the last file of a name wins.
func plainly(t *testing.T, archive []byte) Files {
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := Files{}
	for tr := tar.NewReader(zr); ; {
		hdr, err := tr.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatalf("another reader says %v", err)
		}
		if _, name, _ := strings.Cut(path.Clean(hdr.Name), "/"); !hdr.FileInfo().IsDir() {
			if files[name], err = io.ReadAll(tr); err != nil {
				t.Fatal(err)
			}
		}
	}
}

package composefile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

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

// Attacks A1 to A6: what an archive must not contain.
func TestUnpackRefuses(t *testing.T) {
	good := file("app/compose.yaml", smallCompose)
	many := []entry{good}
	for i := range maxEntries {
		many = append(many, file(fmt.Sprintf("app/%d", i), ""))
	}
	cases := map[string]struct {
		archive []byte
		code    reason.Code
	}{
		"A1 parent path":          {archiveOf(t, good, file("app/../../etc/passwd", "x")), reason.Path},
		"A1 absolute path":        {archiveOf(t, good, file("/app/x", "x")), reason.Path},
		"A1 drive path":           {archiveOf(t, good, file("c:/x", "x")), reason.Path},
		"A1 backslash":            {archiveOf(t, good, file(`app\..\x`, "x")), reason.Path},
		"A1 dot element":          {archiveOf(t, good, file("app/./x", "x")), reason.Path},
		"A1 control character":    {archiveOf(t, good, file("app/a\nb", "x")), reason.Path},
		"A1 deep":                 {archiveOf(t, good, file("app/"+strings.Repeat("d/", maxDepth)+"x", "x")), reason.Path},
		"A2 symbolic link":        {archiveOf(t, good, special("app/l", tar.TypeSymlink, "/etc/shadow")), reason.Archive},
		"A2 hard link":            {archiveOf(t, good, special("app/l", tar.TypeLink, "app/compose.yaml")), reason.Archive},
		"A3 device":               {archiveOf(t, good, special("app/d", tar.TypeBlock, "")), reason.Archive},
		"A3 named pipe":           {archiveOf(t, good, special("app/p", tar.TypeFifo, "")), reason.Archive},
		"A4 bomb":                 {archiveOf(t, good, file("app/zeros", strings.Repeat("\x00", 8<<20))), reason.TooLarge},
		"A4 many entries":         {archiveOf(t, many...), reason.TooLarge},
		"A4 long name":            {archiveOf(t, good, file("app/"+strings.Repeat("n", 10_000), "x")), reason.Path},
		"A5 duplicate":            {archiveOf(t, good, good), reason.Archive},
		"A5 same but for case":    {archiveOf(t, good, file("app/Compose.yaml", "x")), reason.Archive},
		"A5 decomposed name":      {archiveOf(t, good, file("app/u\u0308", "x")), reason.Path},
		"A5 compatible names":     {archiveOf(t, good, file("app/\ufb01", "x"), file("app/fi", "x")), reason.Archive},
		"A5 file and directory":   {archiveOf(t, good, file("app/x", ""), file("app/x/y", "")), reason.Archive},
		"A6 second gzip member":   {append(archiveOf(t, good), archiveOf(t, good)...), reason.Archive},
		"A6 trailing bytes":       {append(archiveOf(t, good), 0), reason.Archive},
		"A6 second tar":           {zip(t, append(makeTar(t, good), makeTar(t, good)...)), reason.Archive},
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

func writeTree(t *testing.T, files map[string]string) string {
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

func FuzzUnpack(f *testing.F) {
	f.Add(archiveOf(f, file("app/compose.yaml", smallCompose)))
	f.Add(archiveOf(f, special("app/l", tar.TypeSymlink, "x")))
	f.Add(append(archiveOf(f, file("app/compose.yaml", smallCompose)), 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := Unpack(data)
		if err != nil && reason.Of(err) == reason.Internal {
			t.Errorf("error without a reason: %v", err)
		}
		if err == nil && files[ComposeFile] == nil {
			t.Error("accepted without a Compose file")
		}
	})
}

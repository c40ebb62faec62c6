// Package hostile makes the Compose archives of attacks A1 to A6 for tests: by
// themselves, and inside of bundles that are signed as they should be.
package hostile

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
)

// Archive is one attack.
type Archive struct {
	// Row is the row of the attack catalogue: "A1".
	Row, Name string
	Data      []byte
	// Reason is why it must be refused.
	Reason reason.Code
}

// Entry is one entry of a tar file.
type Entry struct {
	tar.Header
	Body string
}

// Compose is a compose.yaml that nothing is wrong with.
const Compose = "services:\n  web:\n    image: example.com/web:1\n"

// File is a plain file.
func File(name, body string) Entry {
	return Entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, body}
}

// Special is an entry of another type.
func Special(name string, flag byte, link string) Entry {
	return Entry{tar.Header{Name: name, Typeflag: flag, Linkname: link, Mode: 0o644}, ""}
}

// Tar writes entries as they are.
func Tar(entries ...Entry) []byte {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		e.Size = int64(len(e.Body))
		must(tw.WriteHeader(&e.Header))
		_, err := tw.Write([]byte(e.Body))
		must(err)
	}
	must(tw.Close())
	return buf.Bytes()
}

// Zip is one gzip member.
func Zip(plain []byte) []byte {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	_, err := zw.Write(plain)
	must(err)
	must(zw.Close())
	return buf.Bytes()
}

// Of is an archive with a good compose.yaml and more.
func Of(more ...Entry) []byte {
	return Zip(Tar(append([]Entry{File("app/compose.yaml", Compose)}, more...)...))
}

// must is for writers into memory, and for headers that a test wrote wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// header is a raw tar header, for what archive/tar does not write.
func header(name string, flag byte, size int64) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00", size))
	copy(h[148:], "        ")
	h[156] = flag
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// Grown is a gzip member of a plain part and then times a mebibyte of block,
// without the work of compressing that: one compressed block, again and again.
func Grown(plain, block []byte, times int) []byte {
	mega := bytes.Repeat(block, 1<<20/len(block))
	out := bytes.NewBuffer([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	deflated := func(data []byte) []byte {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestCompression)
		must(err)
		_, err = w.Write(data)
		must(err)
		must(w.Flush())
		return b.Bytes()
	}
	out.Write(deflated(plain))
	out.Write(bytes.Repeat(deflated(mega), times))
	out.Write([]byte{1, 0, 0, 0xff, 0xff})         // the last block, of nothing
	return append(out.Bytes(), make([]byte, 8)...) // nobody gets to the checksum
}

// Archives are the attacks of a row, "A1" to "A6". outside is an absolute path
// that some of them would write to.
func Archives(row, outside string) []Archive {
	var all []Archive
	add := func(code reason.Code, name string, data []byte) {
		all = append(all, Archive{Row: row, Name: name, Data: data, Reason: code})
	}
	switch row {
	case "A1":
		paths(outside, add)
	case "A2":
		links(outside, add)
	case "A3":
		types(add)
	case "A4":
		bombs(add)
	case "A5":
		clashes(add)
	case "A6":
		members(add)
	}
	return all
}

type adder func(code reason.Code, name string, data []byte)

func paths(outside string, add adder) {
	for name, path := range map[string]string{
		"parent path": "app/../../etc/passwd", "parent only": "..", "parent first": "../app/x", "parent inside": "app/a/../x",
		"absolute path": outside + "/x", "absolute below the top": "/app/x", "two slashes": "app//x", "drive path": "c:/x", "drive below": "app/c:x",
		"backslash": `app\..\x`, "backslash below": `app/..\x`, "dot element": "app/./x", "dot": ".", "control character": "app/a\nb",
		"escape": "app/\x1b[2Jx", "bad UTF-8": "app/\xff\xfe",
	} {
		add(reason.Path, name, Of(File(path, "x")))
	}
	add(reason.Path, "extended header", Of(Entry{tar.Header{Name: "../" + strings.Repeat("d/", 80) + "x", Typeflag: tar.TypeReg, Format: tar.FormatPAX}, "x"}))
	add(reason.Path, "name of GNU tar", Of(Entry{tar.Header{Name: "/" + strings.Repeat("d/", 80) + "x", Typeflag: tar.TypeReg, Format: tar.FormatGNU}, "x"}))
}

// links are the published proofs of concept: write through a link (the class of
// CVE-2026-50163), a hard link to a file outside, one that is resolved from the
// working directory.
func links(outside string, add adder) {
	for name, entries := range map[string][]Entry{
		"link, then write through it":          {Special("app/out", tar.TypeSymlink, outside), File("app/out/x", "x")},
		"link to the parent, twice":            {Special("app/up", tar.TypeSymlink, ".."), Special("app/up/up", tar.TypeSymlink, ".."), File("app/up/up/x", "x")},
		"link in the place of the directory":   {Special("app", tar.TypeSymlink, outside), File("app/x", "x")},
		"link in the place of the file":        {Special("app/x", tar.TypeSymlink, outside+"/x"), File("app/x", "x")},
		"hard link to a file outside":          {Special("app/x", tar.TypeLink, outside+"/x")},
		"hard link, then write through it":     {Special("app/x", tar.TypeLink, outside+"/x"), File("app/x", "x")},
		"hard link from the working directory": {Special("app/x", tar.TypeLink, "go.mod")},
		"hard link inside":                     {Special("app/x", tar.TypeLink, "app/compose.yaml")},
		"link inside":                          {Special("app/x", tar.TypeSymlink, "compose.yaml")},
	} {
		add(reason.Archive, name, Of(entries...))
	}
}

func types(add adder) {
	for name, flag := range map[string]byte{
		"block device": tar.TypeBlock, "character device": tar.TypeChar, "named pipe": tar.TypeFifo,
		"reserved type": '7', "unknown type": 'Z',
	} {
		add(reason.Archive, name, Zip(append(append(header("app/x", flag, 0), header("app/compose.yaml", '0', 0)...), make([]byte, 1024)...)))
	}
	add(reason.Archive, "sparse file of GNU tar", Zip(append(header("app/x", tar.TypeGNUSparse, 0), make([]byte, 1024)...)))
	sparse := []byte("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n31 GNU.sparse.name=app/x.conf\n33 GNU.sparse.realsize=10000000\n")
	sparse = append(header("app/pax", tar.TypeXHeader, int64(len(sparse))), append(sparse, make([]byte, 512-len(sparse)%512)...)...)
	sparse = append(sparse, append(header("app/GNUSparseFile.0/x", '0', 512), append([]byte("1\n0\n10\n"), make([]byte, 505)...)...)...)
	add(reason.Archive, "sparse file of an extended header", Zip(append(sparse, make([]byte, 1024)...)))
	inDir := append(header("app/conf/", '5', 512), header("app/hidden", '0', 0)...)
	add(reason.Archive, "directory with a length", Zip(append(append(header("app/compose.yaml", '0', 0), inDir...), make([]byte, 1024)...)))
	size := []byte("12 size=512\n")
	size = append(header("app/pax", tar.TypeXHeader, int64(len(size))), append(size, make([]byte, 512-len(size))...)...)
	size = append(size, append(header("app/x", '0', 0), header("app/hidden", '0', 0)...)...)
	add(reason.Archive, "two lengths", Zip(append(append(header("app/compose.yaml", '0', 0), size...), make([]byte, 1024)...)))
}

func bombs(add adder) {
	many := make([]Entry, 60_000)
	for i := range many {
		many[i] = File(fmt.Sprintf("app/%d", i), "")
	}
	add(reason.TooLarge, "60 000 files", Of(many...))
	add(reason.TooLarge, "millions of empty entries", Grown(nil, header("app/", '5', 0), 2000))
	add(reason.TooLarge, "eight gigabytes of zeros", Grown(append(header("app/compose.yaml", '0', 0), header("app/zeros", '0', 8_000<<20)...), make([]byte, 512), 8_000))
	add(reason.TooLarge, "zeros behind the end", Grown(Tar(File("app/compose.yaml", Compose)), make([]byte, 512), 64))
	add(reason.TooLarge, "one large file", Of(File("app/zeros", strings.Repeat("\x00", 8<<20))))
	add(reason.Path, "long name", Of(File("app/"+strings.Repeat("n", 10_000), "x")))
	add(reason.Path, "name of a megabyte", Of(File("app/"+strings.Repeat("n", 1<<20-100), "x")))
	add(reason.Path, "deep", Of(File("app/"+strings.Repeat("d/", 200)+"x", "x")))
	add(reason.Archive, "gzip in gzip", Zip(Grown(nil, make([]byte, 512), 1000)))
}

func clashes(add adder) {
	for name, entries := range map[string][]Entry{
		"duplicate": {File("app/compose.yaml", "x")}, "spelt with a dot": {File("./app/compose.yaml", "x")},
		"same but for case": {File("app/Compose.yaml", "x")}, "upper case": {File("app/COMPOSE.YAML", "x")},
		"long s": {File("app/compo\u017fe.yaml", "x")}, "full width": {File("app/\uff43ompose.yaml", "x")},
		"ligature": {File("app/\ufb01", "x"), File("app/fi", "x")}, "sharp s": {File("app/ma\u00df", "x"), File("app/MASS", "x")},
		"final sigma":        {File("app/\u03bf\u03c2", "x"), File("app/\u039f\u03a3", "x")},
		"file and directory": {File("app/x", ""), File("app/x/y", "")}, "directory and file": {File("app/x/y", ""), File("app/x", "")},
		"file and directory but for case": {File("app/X", ""), File("app/x/y", "")},
		"compose.yaml is a directory too": {File("app/COMPOSE.yaml/x", "")},
		"two top directories":             {File("App/x", "")},
		"file twice, a directory between": {Special("app/d/", tar.TypeDir, ""), File("app/d", "")},
	} {
		add(reason.Archive, name, Of(entries...))
	}
	add(reason.Path, "decomposed name", Of(File("app/u\u0308", "x")))
}

func members(add adder) {
	good := File("app/compose.yaml", Compose)
	other := Zip(Tar(File("app/compose.yaml", "services: {evil: {image: evil}}")))
	for name, data := range map[string][]byte{
		"second gzip member": append(Of(), other...), "empty gzip member": append(Of(), Zip(nil)...),
		"a byte": append(Of(), 0), "text": append(Of(), "PK\x03\x04"...),
		"second tar": Zip(append(Tar(good), Tar(File("app/x", "x"))...)), "text behind the tar": Zip(append(Tar(good), 'x')),
		"a block of zeros between": Zip(append(append(Tar(good)[:1024], make([]byte, 512)...), Tar(File("app/x", "x"))...)),
		"checksum":                 broken(Of(), 8), "length": broken(Of(), 4), "cut": Of()[:60],
	} {
		add(reason.Archive, name, data)
	}
}

// broken flips a bit so many bytes before the end.
func broken(data []byte, back int) []byte {
	data[len(data)-back] ^= 1
	return data
}

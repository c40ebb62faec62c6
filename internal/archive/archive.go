// Package archive makes archives (tar in gzip) of directories, and reads those that
// others packed into memory, accepting one reading only. What two readers of tar
// could take differently is refused, as is everything but plain files and
// directories.
package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/consign-dev/consign/internal/reason"
)

// Format is a kind of archive with its bounds. All fields are required.
type Format struct {
	// Name stands at the beginning of every message.
	Name string
	// MaxPacked bounds the compressed archive and MaxContents the files in it, in
	// bytes, because both are held in memory, on small devices.
	MaxPacked, MaxContents int
	// MaxEntries stops archives of millions of empty files, which cost memory
	// without having a size.
	MaxEntries int
}

const (
	// maxPath and maxDepth keep names printable in a message.
	maxPath  = 512
	maxDepth = 16
	// maxRatio bounds what one compressed byte may expand to; text compresses
	// about 10:1. ratioFloor lets small archives of repetitive files pass.
	maxRatio   = 100
	ratioFloor = 1 << 20
	// tarBlock is the unit in which tar headers and padding come.
	tarBlock = 512
)

// Read returns the files of an archive by their names below its exactly one
// top-level directory. It accepts regular files and directories, in exactly one
// gzip member with nothing after it. Everything else is refused with the reasons
// archive, path or too-large. Modes, owners and times are dropped.
func (f Format) Read(data []byte) (map[string][]byte, error) {
	if len(data) > f.MaxPacked {
		return nil, reason.New(reason.TooLarge, "%s: %d bytes, at most %d are allowed", f.Name, len(data), f.MaxPacked)
	}
	src := bytes.NewReader(data)
	zr, err := gzip.NewReader(src)
	if err != nil {
		return nil, reason.New(reason.Archive, "%s: not gzip: %w", f.Name, err)
	}
	zr.Multistream(false)
	plain := &bounded{r: zr, left: f.MostPlain(len(data)), format: f}
	u := unpacking{format: f, files: map[string][]byte{}, folded: map[string]string{}}
	if err := u.readAll(tar.NewReader(plain)); err != nil {
		return nil, err
	}
	if err := onlyPadding(f, plain); err != nil {
		return nil, err
	}
	if src.Len() > 0 {
		return nil, reason.New(reason.Archive, "%s: %d bytes follow the gzip member", f.Name, src.Len())
	}
	return u.finish()
}

// MostPlain is how many bytes of tar an archive of so many compressed bytes may
// expand to.
func (f Format) MostPlain(compressed int) int64 {
	most := int64(f.MaxContents + (f.MaxEntries*4+64)*tarBlock)
	return min(most, ratioFloor+maxRatio*int64(compressed))
}

// bounded ends in a refusal, not in an end of file, when more than left bytes
// come: a truncated archive must not look like a complete one.
type bounded struct {
	r      io.Reader
	left   int64
	format Format
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, reason.New(reason.TooLarge, "%s: expands to more than the limits allow (%d bytes, %d:1)", b.format.Name, b.format.MaxContents, maxRatio)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

// onlyPadding insists that nothing but zeros follows the end of the tar
// stream: a second archive there would be seen by other readers of tar.
func onlyPadding(f Format, r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return reason.New(reason.Archive, "%s: data follows the end of the tar stream", f.Name)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return reason.Wrap(reason.Archive, fmt.Errorf("%s: %w", f.Name, err))
		}
	}
}

type unpacking struct {
	format  Format
	files   map[string][]byte
	folded  map[string]string // case-folded path -> path as written
	top     string
	entries int
}

func (u *unpacking) readAll(tr *tar.Reader) error {
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return reason.Wrap(reason.Archive, fmt.Errorf("%s: %w", u.format.Name, err))
		}
		if u.entries++; u.entries > u.format.MaxEntries {
			return reason.New(reason.TooLarge, "%s: more than %d entries", u.format.Name, u.format.MaxEntries)
		}
		if err := u.entry(hdr, tr); err != nil {
			return err
		}
	}
}

func (u *unpacking) entry(hdr *tar.Header, r io.Reader) error {
	dir := hdr.Typeflag == tar.TypeDir
	if !dir && hdr.Typeflag != tar.TypeReg {
		return reason.New(reason.Archive, "%s: %q is %s; only files and directories are allowed", u.format.Name, hdr.Name, typeName(hdr.Typeflag))
	}
	if sparse(hdr) {
		return reason.New(reason.Archive, "%s: %q is a sparse file; only plain files are allowed", u.format.Name, hdr.Name)
	}
	if err := oneLength(u.format, hdr, dir); err != nil {
		return err
	}
	name, err := cleanName(u.format, hdr.Name, dir)
	if err != nil {
		return err
	}
	rel, err := u.belowTop(name, dir)
	if err != nil || rel == "" {
		return err
	}
	if err := u.unique(rel); err != nil || dir {
		return err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return reason.Wrap(reason.Archive, fmt.Errorf("%s: %q: %w", u.format.Name, name, err))
	}
	u.files[rel] = data
	return nil
}

func sparse(hdr *tar.Header) bool {
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// oneLength refuses an entry after which readers of tar go on at different
// places, so that one of them sees entries which the other takes for content:
// a directory with a length, and a length in an extended header, which only
// files of 8 GiB need.
func oneLength(f Format, hdr *tar.Header, dir bool) error {
	_, again := hdr.PAXRecords["size"]
	if again || dir && hdr.Size != 0 {
		return reason.New(reason.Archive, "%s: %q: its length can be read in two ways", f.Name, hdr.Name)
	}
	return nil
}

func typeName(flag byte) string {
	names := map[byte]string{
		tar.TypeLink: "a hard link", tar.TypeSymlink: "a symbolic link", tar.TypeChar: "a character device",
		tar.TypeBlock: "a block device", tar.TypeFifo: "a named pipe", tar.TypeGNUSparse: "a sparse file",
		tar.TypeXGlobalHeader: "a global header (as git archive writes)",
	}
	if n, ok := names[flag]; ok {
		return n
	}
	return fmt.Sprintf("of type %q", flag)
}

// cleanName returns the name of an entry in its only accepted spelling: no
// root, no "." or ".." or empty element, no backslash (a separator elsewhere),
// no control character, Unicode in composed form. A single leading "./" and
// the slash that ends a directory's name are what common tools write.
func cleanName(f Format, raw string, dir bool) (string, error) {
	name := strings.TrimPrefix(raw, "./")
	if dir {
		name = strings.TrimSuffix(name, "/")
	}
	if name == "" && dir {
		return ".", nil
	}
	switch {
	case name == "." && !dir:
		return "", reason.New(reason.Path, "%s: %q: a file cannot be called that", f.Name, raw)
	case len(name) > maxPath || strings.Count(name, "/") >= maxDepth:
		return "", reason.New(reason.Path, "%s: %.80q...: name too long or too deep", f.Name, name)
	case !utf8.ValidString(name) || !norm.NFC.IsNormalString(name):
		return "", reason.New(reason.Path, "%s: %q: name is not UTF-8 in composed form (NFC)", f.Name, name)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }):
		return "", reason.New(reason.Path, "%s: %q: name has a control character, a backslash or a colon", f.Name, name)
	case strings.HasPrefix(name, "/") || name == ".." || name != path.Clean(name) || strings.HasPrefix(name, "../"):
		return "", reason.New(reason.Path, "%s: %q: name is absolute or has empty, \".\" or \"..\" elements", f.Name, name)
	}
	return name, nil
}

// belowTop returns name relative to the one top-level directory, or "" for
// that directory itself and for the root.
func (u *unpacking) belowTop(name string, dir bool) (string, error) {
	if name == "." {
		return "", nil
	}
	top, rel, below := strings.Cut(name, "/")
	if !below && !dir {
		return "", reason.New(reason.Archive, "%s: file %q lies outside the top-level directory", u.format.Name, name)
	}
	if u.top == "" {
		u.top = top
	}
	if u.top != top {
		return "", reason.New(reason.Archive, "%s: two top-level directories, %q and %q; exactly one is allowed", u.format.Name, u.top, top)
	}
	return rel, nil
}

// unique refuses a path that was there before, also when the two differ only
// in case.
func (u *unpacking) unique(rel string) error {
	key := foldName(rel)
	if other, ok := u.folded[key]; ok {
		return reason.New(reason.Archive, "%s: %q and %q are the same path", u.format.Name, other, rel)
	}
	u.folded[key] = rel
	return nil
}

// foldName is what two names have in common that a file system somewhere takes
// for one: ß and SS, ſ and s, σ and ς among them.
func foldName(name string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
}

func (u *unpacking) finish() (map[string][]byte, error) {
	for key, name := range u.folded {
		for dir := path.Dir(key); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if other, ok := u.folded[dir]; ok && u.files[other] != nil {
				return nil, reason.New(reason.Archive, "%s: %q is a file, and a directory in %q", u.format.Name, other, name)
			}
		}
	}
	return u.files, nil
}

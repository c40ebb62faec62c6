package composefile

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

// Bounds on an archive. Real ones hold a Compose file and some configuration.
const (
	// MaxArchive bounds the compressed archive and MaxContents the files in it,
	// because both are held in memory, on small devices.
	MaxArchive  = 16 << 20
	MaxContents = 16 << 20
	// maxEntries stops archives of millions of empty files, which cost memory
	// without having a size.
	maxEntries = 2048
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

// Unpack reads a Margo Compose archive into memory. It accepts regular files
// and directories below exactly one top-level directory, in exactly one gzip
// member with nothing after it. Everything else is refused with the reasons
// archive, path, too-large or malformed. Modes, owners and times are dropped.
func Unpack(archive []byte) (Files, error) {
	if len(archive) > MaxArchive {
		return nil, reason.New(reason.TooLarge, "compose archive: %d bytes, at most %d are allowed", len(archive), MaxArchive)
	}
	src := bytes.NewReader(archive)
	zr, err := gzip.NewReader(src)
	if err != nil {
		return nil, reason.New(reason.Archive, "compose archive: not gzip: %w", err)
	}
	zr.Multistream(false)
	plain := &bounded{r: zr, left: plainLimit(len(archive))}
	u := unpacking{files: Files{}, folded: map[string]string{}}
	if err := u.readAll(tar.NewReader(plain)); err != nil {
		return nil, err
	}
	if err := onlyPadding(plain); err != nil {
		return nil, err
	}
	if src.Len() > 0 {
		return nil, reason.New(reason.Archive, "compose archive: %d bytes follow the gzip member", src.Len())
	}
	return u.finish()
}

func plainLimit(compressed int) int64 {
	most := int64(MaxContents + (maxEntries*4+64)*tarBlock)
	return min(most, ratioFloor+maxRatio*int64(compressed))
}

// bounded ends in a refusal, not in an end of file, when more than left bytes
// come: a truncated archive must not look like a complete one.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, reason.New(reason.TooLarge, "compose archive: expands to more than the limits allow (%d bytes, %d:1)", MaxContents, maxRatio)
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
func onlyPadding(r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return reason.New(reason.Archive, "compose archive: data follows the end of the tar stream")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return reason.Wrap(reason.Archive, fmt.Errorf("compose archive: %w", err))
		}
	}
}

type unpacking struct {
	files   Files
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
			return reason.Wrap(reason.Archive, fmt.Errorf("compose archive: %w", err))
		}
		if u.entries++; u.entries > maxEntries {
			return reason.New(reason.TooLarge, "compose archive: more than %d entries", maxEntries)
		}
		if err := u.entry(hdr, tr); err != nil {
			return err
		}
	}
}

func (u *unpacking) entry(hdr *tar.Header, r io.Reader) error {
	dir := hdr.Typeflag == tar.TypeDir
	if !dir && hdr.Typeflag != tar.TypeReg {
		return reason.New(reason.Archive, "compose archive: %q is %s; only files and directories are allowed", hdr.Name, typeName(hdr.Typeflag))
	}
	if sparse(hdr) {
		return reason.New(reason.Archive, "compose archive: %q is a sparse file; only plain files are allowed", hdr.Name)
	}
	if err := oneLength(hdr, dir); err != nil {
		return err
	}
	name, err := cleanName(hdr.Name, dir)
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
		return reason.Wrap(reason.Archive, fmt.Errorf("compose archive: %q: %w", name, err))
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
func oneLength(hdr *tar.Header, dir bool) error {
	_, again := hdr.PAXRecords["size"]
	if again || dir && hdr.Size != 0 {
		return reason.New(reason.Archive, "compose archive: %q: its length can be read in two ways", hdr.Name)
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
func cleanName(raw string, dir bool) (string, error) {
	name := strings.TrimPrefix(raw, "./")
	if dir {
		name = strings.TrimSuffix(name, "/")
	}
	if name == "" && dir {
		return ".", nil
	}
	switch {
	case name == "." && !dir:
		return "", reason.New(reason.Path, "compose archive: %q: a file cannot be called that", raw)
	case len(name) > maxPath || strings.Count(name, "/") >= maxDepth:
		return "", reason.New(reason.Path, "compose archive: %.80q...: name too long or too deep", name)
	case !utf8.ValidString(name) || !norm.NFC.IsNormalString(name):
		return "", reason.New(reason.Path, "compose archive: %q: name is not UTF-8 in composed form (NFC)", name)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }):
		return "", reason.New(reason.Path, "compose archive: %q: name has a control character, a backslash or a colon", name)
	case strings.HasPrefix(name, "/") || name == ".." || name != path.Clean(name) || strings.HasPrefix(name, "../"):
		return "", reason.New(reason.Path, "compose archive: %q: name is absolute or has empty, \".\" or \"..\" elements", name)
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
		return "", reason.New(reason.Archive, "compose archive: file %q lies outside the top-level directory", name)
	}
	if u.top == "" {
		u.top = top
	}
	if u.top != top {
		return "", reason.New(reason.Archive, "compose archive: two top-level directories, %q and %q; exactly one is allowed", u.top, top)
	}
	return rel, nil
}

// unique refuses a path that was there before, also when the two differ only
// in case.
func (u *unpacking) unique(rel string) error {
	key := foldName(rel)
	if other, ok := u.folded[key]; ok {
		return reason.New(reason.Archive, "compose archive: %q and %q are the same path", other, rel)
	}
	u.folded[key] = rel
	return nil
}

// foldName is what two names have in common that a file system somewhere takes
// for one: ß and SS, ſ and s, σ and ς among them.
func foldName(name string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
}

func (u *unpacking) finish() (Files, error) {
	for key, name := range u.folded {
		for dir := path.Dir(key); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if other, ok := u.folded[dir]; ok && u.files[other] != nil {
				return nil, reason.New(reason.Archive, "compose archive: %q is a file, and a directory in %q", other, name)
			}
		}
	}
	if _, ok := u.files[ComposeFile]; !ok {
		return nil, reason.New(reason.Archive, "compose archive: no %s in the top-level directory (no other spelling is allowed)", ComposeFile)
	}
	return u.files, nil
}

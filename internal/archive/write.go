package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

// Options say what goes into an archive that is made here.
type Options struct {
	// Top is the one directory that all entries are in.
	Top string
	// Max bounds the files together, in bytes.
	Max int64
	// Directories says that directories have entries of their own.
	Directories bool
	// Skip, if not nil, leaves out a file, or a directory with all in it. name is
	// relative to the tree, with slashes.
	Skip func(name string, dir bool) bool
}

// Write writes the archive of a tree, the same bytes for the same files: entries
// are sorted, modes, owners and times fixed. The gzip member is stored, not
// compressed, because compressed bytes change between versions of a compressor,
// and with them the digest of an unchanged bundle. Links and special files are refused
// (archive), and files that are too large together (too-large).
func Write(w io.Writer, tree fs.FS, o Options) error {
	zw, err := gzip.NewWriterLevel(w, gzip.NoCompression)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(zw)
	a := archiver{Options: o, tree: tree, tw: tw, left: o.Max}
	if err := fs.WalkDir(tree, ".", a.add); err != nil {
		return err
	}
	return errors.Join(tw.Close(), zw.Close())
}

type archiver struct {
	Options
	tree fs.FS
	tw   *tar.Writer
	left int64
}

// add is called in lexical order of paths, which fixes the order of entries.
func (a *archiver) add(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if name != "." && a.Skip != nil && a.Skip(name, entry.IsDir()) {
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	hdr := &tar.Header{Name: a.Top + "/" + name, Format: tar.FormatPAX, ModTime: time.Unix(0, 0)}
	switch {
	case entry.IsDir():
		return a.addDirectory(name, hdr)
	case !entry.Type().IsRegular():
		return reason.New(reason.Archive, "%s is a link or a special file; only files and directories can be packed", name)
	}
	return a.addFile(name, hdr)
}

func (a *archiver) addDirectory(name string, hdr *tar.Header) error {
	if !a.Directories {
		return nil
	}
	hdr.Typeflag, hdr.Mode = tar.TypeDir, 0o755
	hdr.Name += "/"
	if name == "." {
		hdr.Name = a.Top + "/"
	}
	return a.tw.WriteHeader(hdr)
}

func (a *archiver) addFile(name string, hdr *tar.Header) error {
	f, err := a.tree.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, a.left+1))
	if err != nil {
		return err
	}
	if a.left -= int64(len(data)); a.left < 0 {
		return reason.New(reason.TooLarge, "the files are larger than %d bytes together", a.Max)
	}
	hdr.Typeflag, hdr.Mode, hdr.Size = tar.TypeReg, 0o644, int64(len(data))
	if err := a.tw.WriteHeader(hdr); err != nil {
		return err
	}
	_, err = a.tw.Write(data)
	return err
}

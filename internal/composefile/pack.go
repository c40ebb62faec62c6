package composefile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

// topDirectory is the name of the one directory in archives that we make.
const topDirectory = "compose"

// Pack makes a Margo Compose archive of a directory that contains
// compose.yaml. The bytes depend on the names and contents of the files and on
// nothing else: entries are sorted, modes, owners and times fixed. The gzip
// member is stored, not compressed, because compressed bytes change between
// versions of a compressor, and with them the digest of an unchanged bundle;
// such archives are a few kilobytes.
//
// Links and special files are refused (archive), as is whatever [Unpack]
// would refuse.
func Pack(dir string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("pack compose directory: %w", err)
	}
	defer root.Close()
	var out bytes.Buffer
	if err := writeArchive(&out, root.FS()); err != nil {
		return nil, fmt.Errorf("pack compose directory %s: %w", filepath.Clean(dir), err)
	}
	if _, err := Unpack(out.Bytes()); err != nil {
		return nil, fmt.Errorf("pack compose directory %s: %w", filepath.Clean(dir), err)
	}
	return out.Bytes(), nil
}

func writeArchive(w io.Writer, tree fs.FS) error {
	zw, err := gzip.NewWriterLevel(w, gzip.NoCompression)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(zw)
	a := archiver{tree: tree, tw: tw, left: MaxContents}
	if err := fs.WalkDir(tree, ".", a.add); err != nil {
		return err
	}
	return errors.Join(tw.Close(), zw.Close())
}

type archiver struct {
	tree fs.FS
	tw   *tar.Writer
	left int64
}

// add is called in lexical order of paths, which fixes the order of entries.
func (a *archiver) add(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	hdr := &tar.Header{Name: topDirectory + "/" + name, Format: tar.FormatPAX, ModTime: time.Unix(0, 0)}
	switch {
	case name == ".":
		hdr.Name = topDirectory + "/"
		fallthrough
	case entry.IsDir():
		hdr.Typeflag, hdr.Mode = tar.TypeDir, 0o755
		if name != "." {
			hdr.Name += "/"
		}
		return a.tw.WriteHeader(hdr)
	case !entry.Type().IsRegular():
		return reason.New(reason.Archive, "%s is a link or a special file; only files and directories can be packed", name)
	}
	return a.addFile(name, hdr)
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
		return reason.New(reason.TooLarge, "the files are larger than %d bytes together", MaxContents)
	}
	hdr.Typeflag, hdr.Mode, hdr.Size = tar.TypeReg, 0o644, int64(len(data))
	if err := a.tw.WriteHeader(hdr); err != nil {
		return err
	}
	_, err = a.tw.Write(data)
	return err
}

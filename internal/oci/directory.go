package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/consign-dev/consign/internal/fault"
)

// Directory is an http.Handler that reads a directory as [Registry] lays it
// out, and which anyone may have written: a stick that was found, a share (attack
// O12). It answers GET and HEAD for manifests and blobs and changes nothing.
//
// The directory is opened once and everything below it is reached from there:
// no symbolic link is followed, no ".." goes up, and what is not a regular file
// is not opened, since opening alone can have effects on a device. Sizes are
// known before a byte is read. What the bytes are worth the client finds out.
type Directory struct{ root *os.File }

// OpenDirectory opens dir, whose own name may be a link. The caller closes it.
func OpenDirectory(dir string) (*Directory, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return &Directory{f}, nil
}

// Close lets go of the directory.
func (d *Directory) Close() error { return d.root.Close() }

func (d *Directory) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	to, ok := parseRoute(req.URL.Path)
	if !ok || to.kind != "manifests" && to.kind != "blobs" {
		http.NotFound(w, req)
		return
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if !validRepo(to.repo) || !validReference(to.ref) {
		d.refuse(w, req, badFile("%q in %q is neither a tag nor a digest in a repository", clip(to.ref), clip(to.repo)))
		return
	}
	if to.kind == "blobs" {
		d.blob(w, req, to)
		return
	}
	d.manifest(w, req, to)
}

func (d *Directory) blob(w http.ResponseWriter, req *http.Request, to route) {
	f, _, err := d.open(to.repo, blobFile(to.ref))
	if err != nil {
		d.refuse(w, req, err)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, req, "", time.Time{}, f)
}

func (d *Directory) manifest(w http.ResponseWriter, req *http.Request, to route) {
	at := to.ref
	if tagPattern.MatchString(at) {
		named, err := d.resolve(to.repo, at)
		if err != nil {
			d.refuse(w, req, err)
			return
		}
		at = string(named)
	}
	data, err := d.read(to.repo, blobFile(at), MaxManifestBytes)
	if err != nil {
		d.refuse(w, req, err)
		return
	}
	mediaType, err := ManifestMediaType(data)
	if err != nil {
		mediaType = "application/octet-stream" // the client's digest says what is wrong
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set(headerDigest, at) // as the index says; the client compares
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
}

// blobFile is the path of a blob in a layout; a reference that is no digest has
// the path of no file.
func blobFile(ref string) string {
	return path.Join(ocispec.ImageBlobsDir, "sha256", strings.TrimPrefix(ref, "sha256:"))
}

// resolve finds what a tag names in index.json.
func (d *Directory) resolve(repo, tag string) (digest.Digest, error) {
	data, err := d.read(repo, ocispec.ImageIndexFile, maxIndexRead)
	if err != nil {
		return "", err
	}
	at, err := taggedIn(data, tag)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = badFile("%s/%s: %v", repo, ocispec.ImageIndexFile, err)
	}
	return at, err
}

func (d *Directory) read(repo, name string, max int64) ([]byte, error) {
	f, size, err := d.open(repo, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > max {
		return nil, &fileError{http.StatusRequestEntityTooLarge, fmt.Sprintf("%s/%s has %d bytes, at most %d are read", repo, name, size, max)}
	}
	return io.ReadAll(io.LimitReader(f, max)) // a file that grows meanwhile has another digest
}

// open opens a regular file of a repository, and says how long it is.
func (d *Directory) open(repo, name string) (*os.File, int64, error) {
	if err := fault.Point("oci.directory-open"); err != nil {
		return nil, 0, err
	}
	at := path.Join(repo, name)
	// What is not a file is found out before it is opened in earnest.
	probe, _, err := d.openAt(at, unix.O_PATH)
	if err != nil {
		return nil, 0, err
	}
	_ = probe.Close()
	return d.openAt(at, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
}

func (d *Directory) openAt(at string, flags uint64) (*os.File, int64, error) {
	root, err := d.root.SyscallConn()
	if err != nil {
		return nil, 0, fmt.Errorf("open %s: %w", at, err)
	}
	fd, opened := -1, error(nil)
	err = root.Control(func(dir uintptr) {
		fd, opened = unix.Openat2(int(dir), at, &unix.OpenHow{
			Flags:   flags | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
		})
	})
	if err == nil {
		err = opened
	}
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR:
		return nil, 0, fmt.Errorf("%s: %w", at, fs.ErrNotExist)
	case unix.ELOOP:
		return nil, 0, badFile("%s: links are not followed", at)
	default:
		return nil, 0, fmt.Errorf("open %s: %w", at, err)
	}
	f := os.NewFile(uintptr(fd), at)
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = badFile("%s is not a regular file; links are not followed", at)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// fileError is what is wrong about a file itself.
type fileError struct {
	status int
	text   string
}

func (e *fileError) Error() string { return e.text }

func badFile(format string, args ...any) error {
	return &fileError{http.StatusUnprocessableEntity, fmt.Sprintf(format, args...)}
}

// refuse answers for a file that cannot be served. The answer to HEAD has no
// room for a text: the client then asks with GET, which has.
func (d *Directory) refuse(w http.ResponseWriter, req *http.Request, err error) {
	var bad *fileError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		refuse(w, http.StatusNotFound, errcode.ErrorCodeManifestUnknown, "not in this directory")
	case req.Method == http.MethodHead:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case errors.As(err, &bad):
		refuse(w, bad.status, errcode.ErrorCodeManifestInvalid, bad.text)
	default: // the medium was pulled out, or is broken
		refuse(w, http.StatusInternalServerError, errcode.ErrorCodeUnsupported, err.Error())
	}
}

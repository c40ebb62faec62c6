package oci

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Modes of a layout. It is published, so anyone may read it.
const (
	layoutDirMode  = 0o755
	layoutFileMode = 0o644
)

// maxLayoutFile bounds the oci-layout file, which holds one version.
const maxLayoutFile = 4 << 10

// Layout is an OCI image layout directory (OCI Image Spec 1.1, Image Layout).
// The same content gives the same files, byte for byte. Blobs may be put
// concurrently.
type Layout struct{ dir string }

// CreateLayout makes an empty layout in dir, which is made when it is not
// there; a layout that is already there is opened and keeps what it holds.
func CreateLayout(dir string) (*Layout, error) {
	l := &Layout{dir}
	if err := durable.MkdirAll(filepath.Join(dir, ocispec.ImageBlobsDir, "sha256"), layoutDirMode); err != nil {
		return nil, fmt.Errorf("create layout: %w", err)
	}
	version, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return nil, fmt.Errorf("create layout: %w", err)
	}
	if err := writeNew(filepath.Join(dir, ocispec.ImageLayoutFile), version); err != nil {
		return nil, fmt.Errorf("create layout: %w", err)
	}
	index, err := encodeIndex(nil)
	if err != nil {
		return nil, fmt.Errorf("create layout: %w", err)
	}
	if err := writeNew(filepath.Join(dir, ocispec.ImageIndexFile), index); err != nil {
		return nil, fmt.Errorf("create layout: %w", err)
	}
	return OpenLayout(l.dir)
}

func writeNew(path string, data []byte) error {
	err := durable.CreateExclusive(path, data, layoutFileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// OpenLayout opens a layout that any tool may have written.
func OpenLayout(dir string) (*Layout, error) {
	l := &Layout{dir}
	data, err := durable.ReadFile(filepath.Join(dir, ocispec.ImageLayoutFile), maxLayoutFile)
	if err != nil {
		return nil, fmt.Errorf("open layout: %w", err)
	}
	var version ocispec.ImageLayout
	if err := strictjson.UnmarshalOpen(data, &version, strictjson.Limits{Bytes: maxLayoutFile}); err != nil {
		return nil, fmt.Errorf("open layout: %s: %w", ocispec.ImageLayoutFile, err)
	}
	if version.Version != ocispec.ImageLayoutVersion {
		return nil, reason.New(reason.Malformed, "open layout %s: imageLayoutVersion %q, only %s is known", dir, clip(version.Version), ocispec.ImageLayoutVersion)
	}
	if _, err := l.Index(); err != nil {
		return nil, fmt.Errorf("open layout: %w", err)
	}
	return l, nil
}

// Dir is the directory of the layout.
func (l *Layout) Dir() string { return l.dir }

func (l *Layout) path(d digest.Digest) string {
	return filepath.Join(l.dir, ocispec.ImageBlobsDir, "sha256", strings.TrimPrefix(string(d), "sha256:"))
}

// Has reports whether a blob of this digest and size is there; [Layout.Open]
// also checks its bytes.
func (l *Layout) Has(desc ocispec.Descriptor) bool {
	if _, err := ParseDigest(string(desc.Digest)); err != nil {
		return false
	}
	info, err := os.Lstat(l.path(desc.Digest))
	return err == nil && info.Mode().IsRegular() && info.Size() == desc.Size
}

// PutBlob stores everything that r delivers and returns its digest and size.
func (l *Layout) PutBlob(ctx context.Context, r io.Reader) (digest.Digest, int64, error) {
	temp := filepath.Join(l.dir, ".put-"+rand.Text())
	partial, err := durable.OpenPartial(temp, layoutFileMode)
	if err != nil {
		return "", 0, fmt.Errorf("put blob: %w", err)
	}
	d, err := l.fill(ctx, partial, r)
	if err != nil {
		_ = partial.Close()
		_ = durable.Remove(temp)
		return "", 0, fmt.Errorf("put blob: %w", err)
	}
	size := partial.Size()
	if err := partial.Commit(l.path(d)); err != nil {
		return "", 0, fmt.Errorf("put blob: %w", err)
	}
	return d, size, nil
}

func (l *Layout) fill(ctx context.Context, to io.Writer, from io.Reader) (digest.Digest, error) {
	sum := sha256.New()
	buf := make([]byte, copyBuffer)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := from.Read(buf)
		sum.Write(buf[:n])
		if _, err := to.Write(buf[:n]); err != nil {
			return "", err
		}
		if err == io.EOF {
			return digest.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// copyBuffer is the size from which hashing runs at full speed.
const copyBuffer = 256 << 10

// PutBytes stores a small blob or manifest and returns its descriptor.
func (l *Layout) PutBytes(mediaType string, data []byte) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if old, err := durable.ReadFile(l.path(desc.Digest), desc.Size); err == nil && bytes.Equal(old, data) {
		return desc, nil
	}
	if err := durable.WriteFile(l.path(desc.Digest), data, layoutFileMode); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("put %s: %w", desc.Digest, err)
	}
	return desc, nil
}

// Open opens the verified content of desc; a missing one is fs.ErrNotExist.
func (l *Layout) Open(desc ocispec.Descriptor) (io.ReadCloser, error) {
	if _, err := ParseDigest(string(desc.Digest)); err != nil {
		return nil, err
	}
	if err := fault.Point("oci.layout-open"); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(l.path(desc.Digest), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = reason.New(reason.DigestMismatch, "blob %s is not a regular file", desc.Digest)
	}
	if err == nil {
		err = checkLength("blob "+string(desc.Digest), info.Size(), desc.Size)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return readCloser{VerifyReader(f, desc), f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// Fetch is [Layout.Open]; it makes a Layout a [Source].
func (l *Layout) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return l.Open(desc)
}

// Bytes reads the verified content of desc, at most max bytes.
func (l *Layout) Bytes(desc ocispec.Descriptor, max int64) ([]byte, error) {
	rc, err := l.Open(desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return ReadAll(rc, desc, max)
}

// SetIndex replaces index.json by one that lists refs, sorted by their
// reference name (annotation org.opencontainers.image.ref.name), then digest.
func (l *Layout) SetIndex(refs ...ocispec.Descriptor) error {
	data, err := encodeIndex(refs)
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(l.dir, ocispec.ImageIndexFile), data, layoutFileMode); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

// Index reads the entries of index.json.
func (l *Layout) Index() ([]ocispec.Descriptor, error) {
	data, err := durable.ReadFile(filepath.Join(l.dir, ocispec.ImageIndexFile), MaxManifestBytes)
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	refs, err := Children(ocispec.MediaTypeImageIndex, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	return refs, nil
}

func encodeIndex(refs []ocispec.Descriptor) ([]byte, error) {
	refs = append([]ocispec.Descriptor{}, refs...) // never null
	slices.SortFunc(refs, func(a, b ocispec.Descriptor) int {
		name := ocispec.AnnotationRefName
		if c := strings.Compare(a.Annotations[name], b.Annotations[name]); c != 0 {
			return c
		}
		return strings.Compare(string(a.Digest), string(b.Digest))
	})
	return json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: refs,
	})
}

package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout is an OCI image layout directory and its index.json.
type layout struct {
	dir   string
	index ocispec.Index
}

// openLayout reads the layout in dir, or starts one.
func openLayout(dir string) (*layout, error) {
	l := &layout{dir: dir, index: newIndex()}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &l.index); err != nil {
		return nil, fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	return l, nil
}

func newIndex() ocispec.Index {
	return ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
}

// add gives manifest the name ref. If ref already names an image for other
// platforms, it becomes an index of all of them; the same platform is replaced.
func (l *layout) add(ref string, manifest ocispec.Descriptor) (ocispec.Descriptor, error) {
	var others []ocispec.Descriptor
	var kept []ocispec.Descriptor
	for _, d := range l.index.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] != ref {
			kept = append(kept, d)
			continue
		}
		platforms, err := l.platforms(d)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		others = append(others, platforms...)
	}
	top, err := l.join(others, manifest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	top.Annotations = map[string]string{ocispec.AnnotationRefName: ref}
	l.index.Manifests = append(kept, top)
	slices.SortFunc(l.index.Manifests, func(a, b ocispec.Descriptor) int {
		return cmp.Compare(a.Annotations[ocispec.AnnotationRefName], b.Annotations[ocispec.AnnotationRefName])
	})
	return top, l.write()
}

// platforms returns the platform manifests behind a descriptor of index.json.
func (l *layout) platforms(d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	if d.MediaType != ocispec.MediaTypeImageIndex {
		d.Annotations = nil
		return []ocispec.Descriptor{d}, nil
	}
	data, err := os.ReadFile(l.blob(d.Digest))
	if err != nil {
		return nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("index %s: %w", d.Digest, err)
	}
	return index.Manifests, nil
}

// join returns manifest itself, or an index of it and the others in the order
// of their platforms.
func (l *layout) join(others []ocispec.Descriptor, manifest ocispec.Descriptor) (ocispec.Descriptor, error) {
	all := slices.DeleteFunc(others, func(d ocispec.Descriptor) bool { return name(d) == name(manifest) })
	if len(all) == 0 {
		return manifest, nil
	}
	index := newIndex()
	index.Manifests = append(all, manifest)
	slices.SortFunc(index.Manifests, func(a, b ocispec.Descriptor) int { return cmp.Compare(name(a), name(b)) })
	return l.putJSON(ocispec.MediaTypeImageIndex, index)
}

func name(d ocispec.Descriptor) string {
	if d.Platform == nil {
		return ""
	}
	return d.Platform.OS + "/" + d.Platform.Architecture + "/" + d.Platform.Variant
}

func (l *layout) write() error {
	version, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.dir, ocispec.ImageLayoutFile), version, 0o644); err != nil {
		return err
	}
	index, err := json.Marshal(l.index)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, ocispec.ImageIndexFile), index, 0o644)
}

func (l *layout) blob(d digest.Digest) string {
	return filepath.Join(l.dir, "blobs", d.Algorithm().String(), d.Encoded())
}

func (l *layout) putJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return l.putStream(mediaType, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(data))
		return err
	})
}

// putStream writes a blob whose digest is known only at its end.
func (l *layout) putStream(mediaType string, write func(io.Writer) error) (ocispec.Descriptor, error) {
	f, err := os.CreateTemp(l.dir, ".blob-*")
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer os.Remove(f.Name())
	hash := sha256.New()
	err = write(io.MultiWriter(f, hash))
	info, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Chmod(0o644), f.Close()); err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.NewDigest(digest.SHA256, hash), Size: info.Size()}
	return d, os.Rename(f.Name(), l.blob(d.Digest))
}

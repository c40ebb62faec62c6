package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/oci"
)

// Closure returns the roots and everything that manifests among them refer to
// and that is stored. A device holds one platform of an image, so a child that
// is not there is no error; a manifest whose bytes are wrong is one, because
// what hangs on it is unknown. Roots are read to see what they are; below them
// only what is called a manifest is (OCI Image Spec 1.1, Descriptor), so a
// damaged layer is left to whoever uses it.
func (s *Store) Closure(roots ...digest.Digest) (map[digest.Digest]bool, error) {
	keep, read := map[digest.Digest]bool{}, map[digest.Digest]bool{}
	queue := append([]digest.Digest{}, roots...)
	for len(queue) > 0 {
		d := queue[0]
		queue = queue[1:]
		keep[d] = true
		if read[d] {
			continue
		}
		read[d] = true
		children, err := s.children(d)
		if err != nil {
			return nil, fmt.Errorf("find what %s needs: %w", d, err)
		}
		for _, c := range children {
			keep[c.Digest] = true
			if oci.IsManifest(c.MediaType) {
				queue = append(queue, c.Digest)
			}
		}
	}
	return keep, nil
}

// children is empty for content that is missing or not a manifest.
func (s *Store) children(d digest.Digest) ([]ocispec.Descriptor, error) {
	size, err := s.Size(d)
	if errors.Is(err, fs.ErrNotExist) || err == nil && size > oci.MaxManifestBytes {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := s.Bytes(ocispec.Descriptor{Digest: d, Size: size}, oci.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	mediaType, err := oci.ManifestMediaType(data)
	if err != nil {
		return nil, nil // a blob
	}
	return oci.Children(mediaType, data)
}

// GC removes all content and all partial downloads that are not in keep. It
// waits for downloads in progress.
func (s *Store) GC(keep map[digest.Digest]bool) error {
	s.sweep.Lock()
	defer s.sweep.Unlock()
	var errs []error
	for _, dir := range []string{s.blobs(), s.ingest()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("collect garbage: %w", err)
		}
		for _, e := range entries {
			if !keep[digest.Digest("sha256:"+e.Name())] {
				errs = append(errs, durable.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("collect garbage: %w", err)
	}
	return nil
}

package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/olareg/olareg/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
)

// The directory of a repository belongs to olareg, which writes temporary
// files and renames them but syncs nothing. What is synced here are its files,
// after it wrote them; everything of our own goes through package durable.

const (
	uploadsDir = "_uploads" // olareg's unfinished uploads
	// maxIndexFile bounds index.json of a repository; an entry has about 300
	// bytes, so this is 200 000 manifests.
	maxIndexFile = 64 << 20
)

// lockPath cannot be a repository: names do not begin with a dot.
func lockPath(dir string) string { return filepath.Join(dir, ".lock") }

// sweepRegistry removes the temporary files of a killed process.
func sweepRegistry(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == uploadsDir:
			if err := durable.RemoveAll(path); err != nil {
				return err
			}
			return fs.SkipDir
		case e.IsDir() && e.Name() == ocispec.ImageBlobsDir:
			if err := durable.Sweep(filepath.Join(path, "sha256")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return fs.SkipDir
		case e.IsDir():
			return durable.Sweep(path)
		case strings.HasPrefix(e.Name(), ocispec.ImageIndexFile+"."):
			return durable.Remove(path)
		}
		return nil
	})
}

func (r *Registry) dir(repo string) string {
	return filepath.Join(r.opts.Dir, filepath.FromSlash(repo))
}

func (r *Registry) blobPath(repo string, d digest.Digest) string {
	return filepath.Join(r.dir(repo), ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func (r *Registry) exists(repo string) bool {
	info, err := os.Lstat(filepath.Join(r.dir(repo), ocispec.ImageIndexFile))
	return err == nil && info.Mode().IsRegular()
}

// ensureRepo makes an empty layout for repo, durably, before olareg sees it.
func (r *Registry) ensureRepo(repo string) error {
	if r.exists(repo) {
		return nil
	}
	defer r.lockRepo(repo)()
	dir := r.dir(repo)
	if err := durable.MkdirAll(filepath.Join(dir, ocispec.ImageBlobsDir, "sha256"), layoutDirMode); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	layout, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	index, err := json.Marshal(types.Index{
		SchemaVersion: 2,
		MediaType:     ocispec.MediaTypeImageIndex,
		Manifests:     []types.Descriptor{},
		Annotations:   map[string]string{types.AnnotReferrerConvert: "true"}, // nothing to convert
	})
	if err != nil {
		return err
	}
	return errors.Join(
		writeMissing(filepath.Join(dir, ocispec.ImageLayoutFile), layout),
		writeMissing(filepath.Join(dir, ocispec.ImageIndexFile), index),
	)
}

// writeMissing writes a file that is not there, under the repository's lock. It
// does without the hard link of an exclusive creation: the file systems of
// memory sticks have none.
func writeMissing(path string, data []byte) error {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return durable.WriteFile(path, data, layoutFileMode)
	}
	return err
}

// storeBlob makes the blob d hold data, also where a power cut or a hand left
// something else under its name: olareg would take the name for the content.
func (r *Registry) storeBlob(repo string, d digest.Digest, data []byte) error {
	path := r.blobPath(repo, d)
	if old, err := durable.ReadFile(path, int64(len(data))); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return durable.WriteFile(path, data, layoutFileMode)
}

// syncManifest puts a manifest, the list of referrers that it joined, and the
// index that names both on the disk, in this order.
func (r *Registry) syncManifest(repo, manifest, subject string) error {
	d, err := digest.Parse(manifest)
	if err != nil {
		return err
	}
	if err := r.syncBlob(repo, d); err != nil {
		return err
	}
	if subject != "" {
		list, err := r.referrersList(repo, subject)
		if err != nil {
			return err
		}
		if err := r.syncBlob(repo, list); err != nil {
			return err
		}
	}
	return r.syncIndex(repo)
}

func (r *Registry) readIndex(repo string) (types.Index, error) {
	var index types.Index
	data, err := durable.ReadFile(filepath.Join(r.dir(repo), ocispec.ImageIndexFile), maxIndexFile)
	if err != nil {
		return index, err
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return index, fmt.Errorf("read %s: %w", ocispec.ImageIndexFile, err)
	}
	return index, nil
}

// referrersList finds the blob in which olareg keeps the referrers of subject.
func (r *Registry) referrersList(repo, subject string) (digest.Digest, error) {
	index, err := r.readIndex(repo)
	if err != nil {
		return "", err
	}
	desc, err := index.GetByAnnotation(types.AnnotReferrerSubject, subject)
	if err != nil {
		return "", fmt.Errorf("referrers of %s: %w", subject, err)
	}
	return desc.Digest, desc.Digest.Validate()
}

func (r *Registry) syncBlob(repo string, d digest.Digest) error {
	path := r.blobPath(repo, d)
	return syncPaths(path, filepath.Dir(path), filepath.Dir(filepath.Dir(path)))
}

func (r *Registry) syncIndex(repo string) error {
	dir := r.dir(repo)
	return syncPaths(filepath.Join(dir, ocispec.ImageIndexFile), dir)
}

// syncPaths syncs files and directories, one after the other.
func syncPaths(paths ...string) error {
	for _, p := range paths {
		if err := fault.Point("registry.sync"); err != nil {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		err = errors.Join(f.Sync(), f.Close())
		if err != nil {
			return fmt.Errorf("sync %s: %w", p, err)
		}
	}
	return nil
}

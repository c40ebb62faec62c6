package oci

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/olareg/olareg/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/durable"
)

func (r *Registry) collectAlways() {
	tick := time.NewTicker(r.opts.CollectEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.collect(now)
		case <-r.stop:
			return
		}
	}
}

// collect gives up uploads that nobody continued, and removes blobs that no
// manifest in their repository refers to and that are older than the grace
// period. Whatever was pushed as a manifest stays, with or without a tag, and
// with it all that it refers to: a mirror made by another tool may carry none
// of the tags that keep what a channel lists by digest.
//
// A repository of which anything cannot be read is left as it is.
func (r *Registry) collect(now time.Time) {
	before := now.Add(-r.opts.Grace)
	r.cancelUploads(r.uploads.idle(now, before))
	repos, err := r.repositories()
	if err != nil {
		r.log.Error("collect", "error", err)
	}
	for _, repo := range repos {
		if r.stopping() {
			return
		}
		blobs, bytes, err := r.collectRepo(repo, before)
		if err != nil {
			r.log.Error("collect", "repository", repo, "error", err)
		}
		if blobs > 0 {
			r.log.Info("collect", "repository", repo, "blobs", blobs, "bytes", bytes)
		}
	}
}

func (r *Registry) stopping() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// repositories lists the directories that hold a repository. One repository
// may lie in the directory of another.
func (r *Registry) repositories() ([]string, error) {
	var repos []string
	err := filepath.WalkDir(r.opts.Dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == ocispec.ImageBlobsDir || e.Name() == uploadsDir):
			return fs.SkipDir
		case e.Name() != ocispec.ImageIndexFile || filepath.Dir(path) == filepath.Clean(r.opts.Dir):
			return nil
		}
		repo, err := filepath.Rel(r.opts.Dir, filepath.Dir(path))
		repos = append(repos, filepath.ToSlash(repo))
		return err
	})
	return repos, err
}

func (r *Registry) collectRepo(repo string, before time.Time) (blobs int, bytes int64, err error) {
	defer r.lockRepo(repo)()
	kept, err := r.referenced(repo)
	if err != nil {
		return 0, 0, fmt.Errorf("nothing is removed: %w", err)
	}
	r.sweeping.Lock()
	defer r.sweeping.Unlock()
	root := filepath.Join(r.dir(repo), ocispec.ImageBlobsDir)
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		d := digest.NewDigestFromEncoded(digest.Algorithm(filepath.Base(filepath.Dir(path))), e.Name())
		if kept[d] || d.Validate() != nil { // or a file that is being written
			return nil
		}
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			return err
		}
		blobs, bytes = blobs+1, bytes+info.Size()
		return os.Remove(path) // what a power cut brings back is found again
	})
	return blobs, bytes, err
}

// referenced are the manifests of a repository, the lists of referrers among
// them, and everything below them.
func (r *Registry) referenced(repo string) (map[digest.Digest]bool, error) {
	index, err := r.readIndex(repo)
	if err != nil {
		return nil, err
	}
	kept := map[digest.Digest]bool{}
	for queue := index.Manifests; len(queue) > 0; {
		next := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if kept[next.Digest] {
			continue
		}
		kept[next.Digest] = true
		if !IsManifest(next.MediaType) {
			continue
		}
		m, err := r.readManifest(repo, next.Digest)
		if err != nil {
			return nil, err
		}
		kept[m.Config.Digest] = true
		for _, layer := range m.Layers {
			kept[layer.Digest] = true
		}
		queue = append(queue, m.Manifests...)
	}
	return kept, nil
}

// stored is what a manifest of any kind refers to, read as leniently as it was
// when it was accepted.
type stored struct {
	Config    types.Descriptor   `json:"config"`
	Layers    []types.Descriptor `json:"layers"`
	Manifests []types.Descriptor `json:"manifests"`
}

func (r *Registry) readManifest(repo string, d digest.Digest) (stored, error) {
	var m stored
	if err := d.Validate(); err != nil {
		return m, fmt.Errorf("%q: %w", clip(string(d)), err)
	}
	data, err := durable.ReadFile(r.blobPath(repo, d), maxIndexFile)
	if err != nil {
		return m, err
	}
	if d.Algorithm().FromBytes(data) != d {
		return m, fmt.Errorf("manifest %s is damaged", d)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("manifest %s: %w", d, err)
	}
	return m, nil
}

// freshen makes a blob that a client is told about as young as one that it
// sends: the manifest that needs it follows.
func (r *Registry) freshen(to route) {
	d, err := digest.Parse(to.ref)
	if err != nil {
		return
	}
	if err := r.touch(to.repo, d); err != nil && !os.IsNotExist(err) {
		r.log.Error("store", "repository", to.repo, "kind", to.kind, "error", err)
	}
}

// touch fails if the blob is not there.
func (r *Registry) touch(repo string, d digest.Digest) error {
	r.sweeping.RLock()
	defer r.sweeping.RUnlock()
	now := unix.Timespec{Nsec: unix.UTIME_NOW}
	path := r.blobPath(repo, d)
	err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{now, now}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &fs.PathError{Op: "touch", Path: path, Err: err}
	}
	return nil
}

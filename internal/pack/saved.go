package pack

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Bounds on a "docker save" archive. go-containerregistry has none: it reads
// manifest.json and configs whole, and goes through the archive once for each
// layer.
const (
	maxSavedEntries = 20_000
	maxSavedImages  = 200
	// maxSavedLayers is above the 127 that the engines' storage can stack.
	maxSavedLayers = 256
	savedManifest  = "manifest.json"
)

// savedImage is an element of manifest.json (Docker image specification 1.2).
type savedImage struct {
	Config       string
	RepoTags     []string
	Layers       []string
	Parent       string
	LayerSources map[string]json.RawMessage
}

// checkSaved goes through an archive before the library does and insists that
// it can be read in one way only: each name once and inside the archive, links
// only where older engines put a layer that is there twice, and as many layers
// as the config says, without which the library panics.
func checkSaved(r io.ReadSeeker) error {
	sizes, err := savedEntries(r)
	if err != nil {
		return err
	}
	text, err := savedFile(r, sizes, savedManifest)
	if err != nil {
		return err
	}
	var images []savedImage
	if err := strictjson.Unmarshal(text, &images, strictjson.Limits{Bytes: bundle.MaxManifestBytes, Depth: 8}); err != nil {
		return fmt.Errorf("%s: %w", savedManifest, err)
	}
	if len(images) == 0 {
		return reason.New(reason.Malformed, "%s: it lists no image", savedManifest)
	}
	if len(images) > maxSavedImages {
		return reason.New(reason.TooLarge, "%s: %d images, at most %d are read", savedManifest, len(images), maxSavedImages)
	}
	for _, i := range images {
		if err := i.check(r, sizes); err != nil {
			return err
		}
	}
	return nil
}

func (i savedImage) check(r io.ReadSeeker, sizes map[string]int64) error {
	if len(i.Layers) > maxSavedLayers {
		return reason.New(reason.TooLarge, "%s: %d layers, at most %d are read", savedManifest, len(i.Layers), maxSavedLayers)
	}
	data, err := savedFile(r, sizes, path.Clean(i.Config))
	if err != nil {
		return err
	}
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := strictjson.UnmarshalOpen(data, &config, strictjson.Limits{Bytes: maxConfigBytes}); err != nil {
		return fmt.Errorf("image config %.100q: %w", i.Config, err)
	}
	if len(config.RootFS.DiffIDs) != len(i.Layers) {
		return reason.New(reason.Malformed, "image config %.100q: %d layers, %s lists %d", i.Config, len(config.RootFS.DiffIDs), savedManifest, len(i.Layers))
	}
	return nil
}

// savedEntries lists the files of an archive with their lengths.
func savedEntries(r io.ReadSeeker) (map[string]int64, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	seen := map[string]bool{}
	for tr := tar.NewReader(r); ; {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return sizes, nil
		}
		if err != nil {
			return nil, reason.Wrap(reason.Archive, err)
		}
		name := path.Clean(hdr.Name)
		if err := savedEntry(hdr, name); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, reason.New(reason.Archive, "%.100q is there twice", name)
		}
		if seen[name] = true; len(seen) > maxSavedEntries {
			return nil, reason.New(reason.TooLarge, "more than %d entries", maxSavedEntries)
		}
		if hdr.Typeflag == tar.TypeReg {
			sizes[name] = hdr.Size
		}
	}
}

func savedEntry(hdr *tar.Header, name string) error {
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink:
		if path.IsAbs(hdr.Linkname) || !filepath.IsLocal(path.Join(path.Dir(name), hdr.Linkname)) {
			return reason.New(reason.Archive, "%.100q is a link to %.100q, outside the archive", name, hdr.Linkname)
		}
	default:
		return reason.New(reason.Archive, "%.100q is neither a file nor a directory", name)
	}
	if !filepath.IsLocal(name) && name != "." {
		return reason.New(reason.Path, "%.100q lies outside the archive", name)
	}
	return nil
}

// savedFile reads a small file of an archive.
func savedFile(r io.ReadSeeker, sizes map[string]int64, name string) ([]byte, error) {
	size, ok := sizes[name]
	if !ok {
		return nil, reason.New(reason.Archive, "no file %.100q: this is no archive of 'docker save'", name)
	}
	if size > maxConfigBytes {
		return nil, reason.New(reason.TooLarge, "%.100q has %d bytes, at most %d are read", name, size, maxConfigBytes)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	for tr := tar.NewReader(r); ; {
		hdr, err := tr.Next()
		if err != nil {
			return nil, reason.Wrap(reason.Archive, err)
		}
		if path.Clean(hdr.Name) == name {
			data, err := io.ReadAll(tr)
			return data, reason.Wrap(reason.Archive, err)
		}
	}
}

func checkSavedFile(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return checkSaved(f)
}

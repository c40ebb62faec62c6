package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// epoch is the time of everything: an image built twice is the same image.
var epoch = time.Unix(0, 0).UTC()

// putImage writes layer, config and manifest, and returns the manifest's
// descriptor with its platform.
func (l *layout) putImage(in image) (ocispec.Descriptor, error) {
	layer, diffID, err := l.putLayer(in)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	config, err := l.putJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Created:  &epoch,
		Platform: in.platform,
		Config:   ocispec.ImageConfig{User: in.user, Env: in.env, Entrypoint: []string{in.entrypoint}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
		History:  []ocispec.History{{Created: &epoch, CreatedBy: "mkimage " + in.entrypoint}},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest, err := l.putJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    []ocispec.Descriptor{layer},
	})
	manifest.Platform = &in.platform
	return manifest, err
}

// putLayer writes a compressed layer with the program and the directories above
// it. The diff id is the digest of the layer before compression.
func (l *layout) putLayer(in image) (ocispec.Descriptor, digest.Digest, error) {
	f, err := os.Open(in.binary)
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	plain := sha256.New()
	desc, err := l.putStream(ocispec.MediaTypeImageLayerGzip, func(w io.Writer) error {
		zip := gzip.NewWriter(w)
		if err := writeTar(io.MultiWriter(zip, plain), in.entrypoint, f, info.Size()); err != nil {
			return err
		}
		return zip.Close()
	})
	return desc, digest.NewDigest(digest.SHA256, plain), err
}

func writeTar(w io.Writer, name string, program io.Reader, size int64) error {
	tw := tar.NewWriter(w)
	name = strings.TrimPrefix(name, "/")
	var dir string
	for _, part := range strings.Split(path.Dir(name), "/") {
		if part == "." {
			break
		}
		dir = path.Join(dir, part)
		err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch, Format: tar.FormatUSTAR})
		if err != nil {
			return err
		}
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: size, ModTime: epoch, Format: tar.FormatUSTAR}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.Copy(tw, program); err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	return tw.Close()
}

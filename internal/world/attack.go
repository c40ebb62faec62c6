package world

import (
	"bytes"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// Overwrite changes a blob of the registry on its disk, keeping its length, and
// returns a function that repairs it.
func (w *World) Overwrite(repository string, d digest.Digest) (repair func()) {
	w.T.Helper()
	path := filepath.Join(w.RegistryDir, repository, "blobs", "sha256", d.Encoded())
	genuine, err := os.ReadFile(path)
	w.Must(err)
	write := func(data []byte) {
		w.Must(os.Remove(path)) // it may be a link that other worlds share
		w.Must(os.WriteFile(path, data, 0o600))
	}
	write(make([]byte, len(genuine)))
	return func() { write(genuine) }
}

// Head returns the channel manifest that a repository's tag names, with its bytes.
func (w *World) Head(repository string) (ocispec.Descriptor, []byte) {
	w.T.Helper()
	repo, err := w.client.Repository(repository)
	w.Must(err)
	d, err := channel.Head(w.Context(), repo)
	w.Must(err)
	desc, data, err := repo.Manifest(w.Context(), d, channel.MaxManifest)
	w.Must(err)
	return desc, data
}

// PutBack makes a channel's tag name a manifest, as a registry's owner can.
func (w *World) PutBack(repository string, desc ocispec.Descriptor, data []byte) {
	w.T.Helper()
	repo, err := w.client.Repository(repository)
	w.Must(err)
	w.Must(repo.Tag(w.Context(), desc, data, channel.Tag, ""))
}

// Resign changes a channel with a party's keys, as a thief of those keys could:
// roles are what edit changes, beside snapshot and timestamp. It returns the
// files that were signed.
func (w *World) Resign(party, repository string, edit func(*tufrepo.Repo), roles ...string) map[string][]byte {
	w.T.Helper()
	repo, err := w.client.Repository(repository)
	w.Must(err)
	meta, head := w.thief(party, repo)
	tuf, err := tufrepo.FromMetadata(meta)
	w.Must(err)
	edit(tuf)
	keys := tufrepo.Keys{}
	for _, role := range append([]string{tufrepo.Snapshot, tufrepo.Timestamp}, roles...) {
		keys[role], err = w.Party(party).Keys.Signers(role)
		w.Must(err)
	}
	files, err := tuf.Sign(keys, w.Now)
	w.Must(err)
	_, err = channel.Commit(w.Context(), repo, channel.CommitInput{Files: files, Previous: head, Version: tuf.Versions()[tufrepo.Timestamp]})
	w.Must(err)
	return files
}

// thief reads a channel as one who begins with nothing but its root.
func (w *World) thief(party string, repo *oci.Repository) (*tufclient.Metadata, digest.Digest) {
	w.T.Helper()
	root, err := os.ReadFile(filepath.Join(w.Dir, party, "root.json"))
	w.Must(err)
	id, err := tufclient.RootIdentity(root)
	w.Must(err)
	dir := filepath.Join(w.T.TempDir(), "thief")
	w.Must(tufclient.Init(dir, root, id))
	client, err := tufclient.Open(dir)
	w.Must(err)
	meta, head, err := channel.RefreshAll(w.Context(), repo, client, w.Now)
	w.Must(err)
	return meta, head
}

// Reorder replaces a device's signed desired state by the given documents,
// signed with the deploy key as a thief of it could.
func (w *World) Reorder(device string, edit func(deployments [][]byte) [][]byte) {
	w.T.Helper()
	repo, err := w.client.Repository(w.Deployments)
	w.Must(err)
	meta, _ := w.thief("plant", repo)
	target, err := meta.Target(channel.DeviceTarget(device))
	w.Must(err)
	desc := w.pushState(repo, edit(w.orders(repo, target)))
	changed := tufrepo.Target{Digest: desc.Digest, Length: desc.Size, Custom: target.Custom}
	w.Resign("plant", w.Deployments, func(r *tufrepo.Repo) {
		w.Must(r.SetTarget(tufrepo.Deploy, channel.DeviceTarget(device), changed))
	}, tufrepo.Deploy)
}

// Ordered is the one order of a device, the bytes that were signed.
func (w *World) Ordered(device string) []byte {
	w.T.Helper()
	repo, err := w.client.Repository(w.Deployments)
	w.Must(err)
	meta, _ := w.thief("plant", repo)
	target, err := meta.Target(channel.DeviceTarget(device))
	w.Must(err)
	return w.orders(repo, target)[0]
}

// orders are the documents of a desired state.
func (w *World) orders(repo *oci.Repository, target tufclient.Target) [][]byte {
	w.T.Helper()
	_, data, err := repo.Manifest(w.Context(), target.Digest, target.Length)
	w.Must(err)
	state, err := bundle.ParseDesiredState(data)
	w.Must(err)
	var documents [][]byte
	for _, d := range state.Deployments {
		raw, err := repo.BlobBytes(w.Context(), d, d.Size)
		w.Must(err)
		documents = append(documents, raw)
	}
	return documents
}

func (w *World) pushState(repo *oci.Repository, documents [][]byte) ocispec.Descriptor {
	w.T.Helper()
	var layers []ocispec.Descriptor
	for _, raw := range documents {
		layers = append(layers, w.push(repo, bundle.MediaTypeDeployment, raw))
	}
	manifest, desc, err := bundle.BuildDesiredState(bundle.DesiredState{Deployments: layers})
	w.Must(err)
	w.Must(repo.PushManifest(w.Context(), desc, manifest))
	return desc
}

// push stores a blob in a repository.
func (w *World) push(repo *oci.Repository, mediaType string, data []byte) ocispec.Descriptor {
	w.T.Helper()
	d := bundle.Describe(mediaType, data)
	w.Must(repo.PushBlob(w.Context(), d, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }))
	return d
}

// ImageConfig returns the digest of the configuration blob of a bundle's first
// image.
func (w *World) ImageConfig(application string, d digest.Digest) digest.Digest {
	w.T.Helper()
	repo, err := w.client.Repository(filepath.Dir(w.Releases) + "/" + application)
	w.Must(err)
	_, data, err := repo.Manifest(w.Context(), d, bundle.MaxManifestBytes)
	w.Must(err)
	b, err := bundle.Parse(data)
	w.Must(err)
	at := b.Images[0].Manifest
	for {
		_, data, err := repo.Manifest(w.Context(), at.Digest, bundle.MaxManifestBytes)
		w.Must(err)
		children, err := oci.Children(at.MediaType, data)
		w.Must(err)
		if oci.IsManifest(at.MediaType) {
			return children[0].Digest
		}
		at = children[0]
	}
}

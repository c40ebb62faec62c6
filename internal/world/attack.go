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
	w.Must(os.WriteFile(path, make([]byte, len(genuine)), 0o600))
	return func() { w.Must(os.WriteFile(path, genuine, 0o600)) }
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

// Reorder replaces a device's signed desired state by the given documents,
// signed with the deploy key as a thief of it could.
func (w *World) Reorder(device string, edit func(deployments [][]byte) [][]byte) {
	w.T.Helper()
	ctx := w.Context()
	repo, err := w.client.Repository(w.Deployments)
	w.Must(err)
	root, err := os.ReadFile(filepath.Join(w.Dir, "plant", "root.json"))
	w.Must(err)
	id, err := tufclient.RootIdentity(root)
	w.Must(err)
	dir := filepath.Join(w.T.TempDir(), "thief")
	w.Must(tufclient.Init(dir, root, id))
	client, err := tufclient.Open(dir)
	w.Must(err)
	meta, head, err := channel.RefreshAll(ctx, repo, client, w.Now)
	w.Must(err)
	target, err := meta.Target(channel.DeviceTarget(device))
	w.Must(err)
	_, data, err := repo.Manifest(ctx, target.Digest, target.Length)
	w.Must(err)
	state, err := bundle.ParseDesiredState(data)
	w.Must(err)
	var documents [][]byte
	for _, d := range state.Deployments {
		raw, err := repo.BlobBytes(ctx, d, d.Size)
		w.Must(err)
		documents = append(documents, raw)
	}
	var layers []ocispec.Descriptor
	for _, raw := range edit(documents) {
		d := bundle.Describe(bundle.MediaTypeDeployment, raw)
		w.Must(repo.PushBlob(ctx, d, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }))
		layers = append(layers, d)
	}
	manifest, desc, err := bundle.BuildDesiredState(bundle.DesiredState{Deployments: layers})
	w.Must(err)
	w.Must(repo.PushManifest(ctx, desc, manifest))
	tuf, err := tufrepo.FromMetadata(meta)
	w.Must(err)
	w.Must(tuf.SetTarget(tufrepo.Deploy, channel.DeviceTarget(device), tufrepo.Target{Digest: desc.Digest, Length: desc.Size, Custom: target.Custom}))
	keys := tufrepo.Keys{}
	for _, role := range []string{tufrepo.Deploy, tufrepo.Snapshot, tufrepo.Timestamp} {
		keys[role], err = w.Party("plant").Keys.Signers(role)
		w.Must(err)
	}
	files, err := tuf.Sign(keys, w.Now)
	w.Must(err)
	_, err = channel.Commit(ctx, repo, channel.CommitInput{Files: files, Previous: head, Version: tuf.Versions()[tufrepo.Timestamp]})
	w.Must(err)
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

package world

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// Evidence are the signature bundles that the release channel lists about a
// version of hello.
func (w *World) Evidence(version string) [][]byte {
	w.T.Helper()
	repo := w.Application("hello")
	custom, err := channel.ParseReleaseCustom(w.Release(version).Custom)
	w.Must(err)
	var out [][]byte
	for _, ref := range custom.Evidence {
		_, data, err := repo.Manifest(w.Context(), ref.Digest, ref.Size)
		w.Must(err)
		e, err := bundle.ParseEvidence(data)
		w.Must(err)
		blob, err := repo.BlobBytes(w.Context(), e.Layer, e.Layer.Size)
		w.Must(err)
		out = append(out, blob)
	}
	return out
}

// PushEvidence pushes a signature bundle about a bundle index, as anybody who can
// write into the registry can. Nobody lists it.
func (w *World) PushEvidence(about digest.Digest, size int64, signed []byte) channel.EvidenceRef {
	w.T.Helper()
	repo := w.Application("hello")
	layer := w.push(repo, bundle.MediaTypeEvidence, signed)
	w.push(repo, ocispec.MediaTypeEmptyJSON, bundle.EmptyConfig())
	data, desc, err := bundle.BuildEvidence(bundle.Evidence{
		Subject: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: about, Size: size}, Layer: layer, PredicateType: sign.PredicateType,
	})
	w.Must(err)
	w.Must(repo.PushManifest(w.Context(), desc, data))
	return channel.EvidenceRef{Digest: desc.Digest, Size: desc.Size}
}

// Attach lists other signature bundles about a released version in the place of
// its own, with the keys of the supplier's channel. Nothing is looked at.
func (w *World) Attach(version string, signed ...[]byte) {
	w.T.Helper()
	target := w.Release(version)
	custom := channel.ReleaseCustom{Evidence: []channel.EvidenceRef{}}
	for _, s := range signed {
		custom.Evidence = append(custom.Evidence, w.PushEvidence(target.Digest, target.Length, s))
	}
	text, err := json.Marshal(custom)
	w.Must(err)
	w.Resign("acme", w.Releases, func(r *tufrepo.Repo) {
		w.Must(r.SetTarget(tufrepo.Targets, target.Name, tufrepo.Target{Digest: target.Digest, Length: target.Length, Custom: text}))
	}, tufrepo.Targets)
}

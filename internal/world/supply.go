package world

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"encoding/json"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// Parts are what a release of hello is made of, for a supplier who does not use
// our packer.
type Parts struct {
	// Description is margo.yaml.
	Description string
	// Compose are the files of every component, by path below its one directory.
	Compose map[string]string
	// Bundle is the index: Package and Components are filled in later.
	Bundle bundle.Bundle
	// Signer signs; it begins as the supplier's signing key.
	Signer crypto.Signer
}

// Supply releases hello at a version: an earlier release but for what edit
// changes. Nothing is checked.
func (w *World) Supply(from, version string, edit func(p *Parts)) digest.Digest {
	w.T.Helper()
	repo := w.Application("hello")
	old := w.Bundle(from)
	p := &Parts{Description: w.description(repo, old), Compose: map[string]string{"compose.yaml": w.compose(from)}, Bundle: *old}
	keys, err := w.Party("acme").Keys.Signers("signing")
	w.Must(err)
	p.Signer = keys[0]
	p.Description, p.Bundle.Version = strings.ReplaceAll(p.Description, from, version), version
	edit(p)
	w.pushParts(repo, version, p)
	data, desc, err := bundle.Build(p.Bundle)
	w.Must(err)
	w.Must(repo.PushManifest(w.Context(), desc, data))
	w.list(repo, desc, version, p.Signer)
	return desc.Digest
}

// Application is the repository of an application's bundles.
func (w *World) Application(name string) *oci.Repository {
	w.T.Helper()
	repo, err := w.client.Repository(path.Dir(w.Releases) + "/" + name)
	w.Must(err)
	return repo
}

// Release is what the release channel lists as a version of hello.
func (w *World) Release(version string) tufclient.Target {
	w.T.Helper()
	repo, err := w.client.Repository(w.Releases)
	w.Must(err)
	meta, _ := w.thief("acme", repo)
	target, err := meta.Target(channel.ReleaseTarget("hello", version))
	w.Must(err)
	return target
}

// Bundle is a released bundle of hello.
func (w *World) Bundle(version string) *bundle.Bundle {
	w.T.Helper()
	target := w.Release(version)
	_, data, err := w.Application("hello").Manifest(w.Context(), target.Digest, target.Length)
	w.Must(err)
	b, err := bundle.Parse(data)
	w.Must(err)
	return b
}

func (w *World) description(repo *oci.Repository, b *bundle.Bundle) string {
	w.T.Helper()
	_, data, err := repo.Manifest(w.Context(), b.Package.Digest, b.Package.Size)
	w.Must(err)
	p, err := bundle.ParsePackage(data)
	w.Must(err)
	text, err := repo.BlobBytes(w.Context(), p.Description, p.Description.Size)
	w.Must(err)
	return string(text)
}

// compose is the example's Compose file as a version has it.
func (w *World) compose(version string) string {
	w.T.Helper()
	text, err := os.ReadFile(filepath.Join(Root(), "examples", "hello", "package", "components", "hello-stack", "compose.yaml"))
	w.Must(err)
	return strings.ReplaceAll(string(text), "1.0.0", version)
}

// pushParts pushes the package and the components of p and names them in its
// bundle.
func (w *World) pushParts(repo *oci.Repository, version string, p *Parts) {
	w.T.Helper()
	description := w.push(repo, bundle.MediaTypeDescription, []byte(p.Description))
	data, desc, err := bundle.BuildPackage(bundle.Package{Description: description})
	w.Must(err)
	w.push(repo, ocispec.MediaTypeEmptyJSON, bundle.EmptyConfig())
	w.Must(repo.PushManifest(w.Context(), desc, data))
	p.Bundle.Package = desc
	p.Bundle.Components = slices.Clone(p.Bundle.Components)
	for n, c := range p.Bundle.Components {
		archive := w.push(repo, bundle.MediaTypeComposeArchive, w.Archive(p.Compose))
		data, desc, err := bundle.BuildComposeComponent(bundle.ComposeComponent{Name: c.Name, Version: version, Archive: archive})
		w.Must(err)
		w.Must(repo.PushManifest(w.Context(), desc, data))
		p.Bundle.Components[n].Manifest = desc
	}
}

// Archive makes a Compose archive of files, by path below its one directory,
// and looks at none of them.
func (w *World) Archive(files map[string]string) []byte {
	w.T.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	w.Must(tw.WriteHeader(&tar.Header{Name: "compose/", Typeflag: tar.TypeDir, Mode: 0o755}))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w.Must(tw.WriteHeader(&tar.Header{Name: "compose/" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))}))
		_, err := tw.Write([]byte(files[name]))
		w.Must(err)
	}
	w.Must(tw.Close())
	w.Must(zw.Close())
	return out.Bytes()
}

// list signs a bundle and lists it in the release channel.
func (w *World) list(repo *oci.Repository, desc ocispec.Descriptor, version string, signer crypto.Signer) {
	w.T.Helper()
	name := channel.ReleaseTarget("hello", version)
	signed, err := sign.Bundle(w.Context(), sign.Subject{Name: name, Digest: desc.Digest}, sign.Key{Private: signer})
	w.Must(err)
	layer := w.push(repo, bundle.MediaTypeEvidence, signed)
	data, evidence, err := bundle.BuildEvidence(bundle.Evidence{Subject: desc, Layer: layer, PredicateType: sign.PredicateType})
	w.Must(err)
	w.Must(repo.PushManifest(w.Context(), evidence, data))
	custom, err := json.Marshal(channel.ReleaseCustom{Evidence: []channel.EvidenceRef{{Digest: evidence.Digest, Size: evidence.Size}}})
	w.Must(err)
	w.Resign("acme", w.Releases, func(r *tufrepo.Repo) {
		w.Must(r.SetTarget(tufrepo.Targets, name, tufrepo.Target{Digest: desc.Digest, Length: desc.Size, Custom: custom}))
	}, tufrepo.Targets)
}

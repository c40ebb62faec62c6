package world

import (
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/publish"
)

// Forgery is what a supplier puts into a bundle with tools of its own, in place
// of what "publisher pack" would have made. Nil keeps what was packed.
type Forgery struct {
	// Archive is the only component's archive.
	Archive []byte
	// Description changes margo.yaml.
	Description func(text string) string
	// Component and Bundle change the two manifests.
	Component func(data []byte) []byte
	Bundle    func(data []byte) []byte
}

// PublishForged releases hello at a version, signed and listed as any release.
func (w *World) PublishForged(party, version string, f Forgery) digest.Digest {
	w.T.Helper()
	layout, err := oci.CreateLayout(filepath.Join(w.Dir, "layout-"+party+"-"+version))
	w.Must(err)
	packed, err := pack.Pack(w.Context(), w.PackOptions(w.Package(version, nil), layout))
	w.Must(err)
	if f.Description != nil {
		w.describe(layout, &packed, f.Description)
	}
	if f.Archive != nil || f.Component != nil {
		w.component(layout, &packed, f)
	}
	data, desc, err := bundle.Build(*packed.Bundle)
	w.Must(err)
	if f.Bundle != nil {
		data = f.Bundle(data)
	}
	packed.Descriptor = put(w, layout, desc, data)
	p := w.Party(party)
	_, err = p.Publish(w.Context(), publish.PublishInput{Channel: w.Releases, Layout: layout, Packed: packed, SigningKey: p.Keys.SigningKey()})
	w.Must(err)
	return packed.Descriptor.Digest
}

func (w *World) describe(layout *oci.Layout, packed *pack.Result, change func(string) string) {
	manifest, err := layout.Bytes(packed.Bundle.Package, bundle.MaxManifestBytes)
	w.Must(err)
	p, err := bundle.ParsePackage(manifest)
	w.Must(err)
	text, err := layout.Bytes(p.Description, bundle.MaxDocumentBytes)
	w.Must(err)
	p.Description, err = layout.PutBytes(p.Description.MediaType, []byte(change(string(text))))
	w.Must(err)
	data, desc, err := bundle.BuildPackage(*p)
	w.Must(err)
	packed.Bundle.Package = put(w, layout, desc, data)
}

func (w *World) component(layout *oci.Layout, packed *pack.Result, f Forgery) {
	c := &packed.Bundle.Components[0]
	manifest, err := layout.Bytes(c.Manifest, bundle.MaxManifestBytes)
	w.Must(err)
	parsed, err := bundle.ParseComposeComponent(manifest)
	w.Must(err)
	if f.Archive != nil {
		parsed.Archive, err = layout.PutBytes(parsed.Archive.MediaType, f.Archive)
		w.Must(err)
	}
	data, desc, err := bundle.BuildComposeComponent(*parsed)
	w.Must(err)
	if f.Component != nil {
		data = f.Component(data)
	}
	c.Manifest = put(w, layout, desc, data)
}

// put stores a manifest and returns desc for it, with all else that desc says.
func put(w *World, layout *oci.Layout, desc ocispec.Descriptor, data []byte) ocispec.Descriptor {
	stored, err := layout.PutBytes(desc.MediaType, data)
	w.Must(err)
	desc.Digest, desc.Size = stored.Digest, stored.Size
	return desc
}

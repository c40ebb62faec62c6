package world

import (
	"crypto"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/channel"
)

// Files are the metadata files that a channel serves, by name.
func (w *World) Files(repository string) map[string][]byte {
	w.T.Helper()
	repo, err := w.client.Repository(repository)
	w.Must(err)
	_, manifest := w.Head(repository)
	listed, err := channel.ParseManifest(manifest)
	w.Must(err)
	files := map[string][]byte{}
	for name, d := range listed {
		files[name], err = repo.BlobBytes(w.Context(), d, d.Size)
		w.Must(err)
	}
	return files
}

// Serve makes a channel serve these files, as a registry's owner can.
func (w *World) Serve(repository string, files map[string][]byte) {
	w.T.Helper()
	repo, err := w.client.Repository(repository)
	w.Must(err)
	for _, data := range files {
		w.push(repo, channel.MediaTypeMetadata, data)
	}
	manifest, desc, err := channel.BuildManifest(files)
	w.Must(err)
	w.PutBack(repository, desc, manifest)
}

// Forge changes a metadata document and signs it with the first key that a party
// has for a role.
func Forge[T metadata.Roles](w *World, party, role string, data []byte, edit func(*metadata.Metadata[T])) []byte {
	w.T.Helper()
	doc, err := new(metadata.Metadata[T]).FromBytes(data)
	w.Must(err)
	edit(doc)
	signers, err := w.Party(party).Keys.Signers(role)
	w.Must(err)
	signer, err := signature.LoadSigner(signers[0], crypto.SHA256)
	w.Must(err)
	doc.ClearSignatures()
	_, err = doc.Sign(signer)
	w.Must(err)
	out, err := doc.ToBytes(false)
	w.Must(err)
	return out
}

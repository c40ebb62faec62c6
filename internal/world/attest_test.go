package world_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
	"github.com/consign-dev/consign/internal/world"
	"github.com/consign-dev/consign/policy"
)

// another is somebody who signs and does not publish: what they make, in a file.
type another struct {
	t   *testing.T
	key sign.Key
	pem string
}

func newAnother(t *testing.T) another {
	t.Helper()
	private, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	pem, err := keys.MarshalPublic(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return another{t, sign.Key{Private: private}, string(pem)}
}

// signs a statement.
func (a another) signs(statement string) string {
	a.t.Helper()
	data, err := a.key.Sign(a.t.Context(), []byte(statement))
	if err != nil {
		a.t.Fatal(err)
	}
	return a.file(data)
}

func (a another) file(data []byte) string {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "signed.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// statement has one subject.
func statement(name string, about digest.Digest, predicateType string) string {
	return fmt.Sprintf(`{"_type":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, sign.StatementType, name, about.Encoded(), predicateType)
}

// TestAttestASignature: a policy that demands a second signature is satisfied by
// one that its owner made elsewhere and the supplier lists.
func TestAttestASignature(t *testing.T) {
	w := world.New(t)
	d := w.Recorded("press-07")
	released := w.Publish("acme", "1.0.0", nil)
	w.Deploy(d.ID, "1.0.0", nil)
	other := newAnother(t)
	w.Signers = "        keys:\n          - |\n            " + strings.ReplaceAll(strings.TrimSpace(other.pem), "\n", "\n            ") + "\n"
	w.SetPolicy("")
	_, err := d.Sync()
	wantReason(t, err, reason.UntrustedSigner)
	in := publish.AttestInput{Channel: w.Releases, Application: "hello", Version: "1.0.0"}
	for name, subject := range map[string]struct {
		name  string
		about digest.Digest
	}{
		"another bundle":    {"", digest.FromString("another bundle")},
		"a part of it":      {"", w.Bundle("1.0.0").Package.Digest},
		"another version":   {"hello/1.0.1", released},
		"an image's name":   {w.Host + "/acme/hello", released},
		"another's release": {"goodbye/1.0.0", released},
	} {
		a, err := publish.ReadSignature(other.signs(statement(subject.name, subject.about, sign.PredicateType)))
		w.Must(err)
		in.Attestations = []publish.Attestation{a}
		head, _ := w.Head(w.Releases)
		if _, err := w.Party("acme").Attest(w.Context(), in); !reason.Is(err, reason.Signature) {
			t.Errorf("%s: %v", name, err)
		}
		if now, _ := w.Head(w.Releases); now.Digest != head.Digest {
			t.Errorf("%s: the channel moved", name)
		}
	}
	for _, name := range []string{"", "hello/1.0.0"} {
		a, err := publish.ReadSignature(other.signs(statement(name, released, sign.PredicateType)))
		w.Must(err)
		in.Attestations = append(in.Attestations[:0], a)
		done, err := w.Party("acme").Attest(w.Context(), in)
		if err != nil || done.Bundle != released || done.Unchanged {
			t.Fatalf("%q: %+v, %v", name, done, err)
		}
	}
	if done, err := w.Party("acme").Attest(w.Context(), in); err != nil || !done.Unchanged {
		t.Errorf("the same again: %+v, %v", done, err)
	}
	if res, err := d.Sync(); err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Installed {
		t.Errorf("%v, %+v", err, res)
	}
}

// TestSignaturesAndAttestationsAreTold: neither is taken for the other, and nobody
// signs what must be signed already.
func TestSignaturesAndAttestationsAreTold(t *testing.T) {
	other := newAnother(t)
	about := digest.FromString("a bundle")
	two := strings.Replace(statement("", about, sign.PredicateType), `"subject":[`, `"subject":[{"digest":{"sha256":"`+about.Encoded()+`"}},`, 1)
	for name, c := range map[string]struct {
		file string
		code reason.Code
	}{
		"a bare statement": {other.file([]byte(statement("", about, sign.PredicateType))), reason.Signature},
		"provenance":       {other.signs(statement("", about, policy.SLSAProvenance)), reason.Signature},
		"two subjects":     {other.signs(two), reason.Signature},
		"no statement":     {other.file([]byte("{}")), reason.Malformed},
	} {
		if _, err := publish.ReadSignature(c.file); !reason.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if _, err := publish.ReadAttestation(other.signs(statement("", about, sign.PredicateType)), ""); !reason.Is(err, reason.Attestation) || !strings.Contains(err.Error(), "--signature") {
		t.Errorf("a signature as an attestation: %v", err)
	}
}

// TestInspectShowsWhatOthersAttached: whoever may push attaches anything to a
// bundle; it is shown as what it is and hides nothing.
func TestInspectShowsWhatOthersAttached(t *testing.T) {
	w := world.New(t)
	released := w.Publish("acme", "1.0.0", nil)
	repo := w.Application("hello")
	list, err := repo.Referrers(w.Context(), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: released, Size: w.Release("1.0.0").Length}, bundle.MediaTypeEvidence)
	w.Must(err)
	_, data, err := repo.Manifest(w.Context(), list[0].Digest, bundle.MaxManifestBytes)
	w.Must(err)
	for _, annotations := range []map[string]string{
		{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": policy.SLSAProvenance, "org.opencontainers.image.created": "2026-01-01T00:00:00Z"},
		{"dev.sigstore.bundle.content": "message-signature"},
	} {
		var m map[string]any
		w.Must(json.Unmarshal(data, &m))
		m["annotations"] = annotations
		changed, err := json.Marshal(m)
		w.Must(err)
		w.Must(repo.PushManifest(w.Context(), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(changed), Size: int64(len(changed))}, changed))
	}
	found, err := publish.Inspect(w.Context(), w.Client(), repo.Name()+"@"+string(released))
	if err != nil || len(found.Evidence) != 4 { // a signature, an SBOM, and theirs
		t.Fatalf("%+v, %v", found, err)
	}
	var ours, theirs, unreadable int
	for _, e := range found.Evidence {
		switch {
		case e.Unreadable != "":
			unreadable++
		case e.PredicateType == policy.SLSAProvenance && e.Key != "":
			theirs++
		case e.PredicateType == sign.PredicateType && e.Key != "":
			ours++
		}
	}
	if ours != 1 || theirs != 1 || unreadable != 1 {
		t.Errorf("%+v", found.Evidence)
	}
}

package keyless

import (
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	sigstorebundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/replay"
	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/world"
)

// decision is what a device decided about a release with all that a policy can
// ask for: a keyless signature with log entry and timestamp, provenance, an SBOM,
// and three conditions.
type decision struct {
	document *inputs.Document
	archive  map[digest.Digest][]byte
	root     []byte
	trusted  []byte
	bundle   digest.Digest
}

func decided(b *testing.B) decision {
	s := sigstoretest.Shared(b)
	w := world.New(b)
	d := w.Recorded("press-07")
	w.Signers, w.TrustedRoot = signers(s), s.TrustedRoot
	w.Rules = map[string]string{"hello": contents(s) + `    rules:
      - {name: images, expression: 'bundle.images.all(i, i.reference.startsWith("localhost/"))'}
      - {name: builder, expression: 'evidence.attestations.provenance.all(a, a.predicate.runDetails.builder.id.startsWith("https://git.example.test/"))'}
      - {name: press, expression: 'device.id.startsWith("press-") && deployment.parameters.port != "22"'}
`}
	w.SetPolicy("")
	job(w, s, "1.0.0")
	w.Deploy(d.ID, "1.0.0", nil)
	_, err := d.Sync()
	w.Must(err)
	dir := filepath.Join(b.TempDir(), "export")
	_, err = d.Export(dir)
	w.Must(err)
	out := decision{archive: map[digest.Digest][]byte{}, trusted: s.TrustedRoot, bundle: w.Release("1.0.0").Digest}
	out.root, err = os.ReadFile(filepath.Join(w.Dir, "plant", "root.json"))
	w.Must(err)
	w.Must(filepath.WalkDir(filepath.Join(dir, "archive"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out.archive[digest.FromBytes(data)] = data
		if doc, none := inputs.Parse(data); none == nil && doc.Decision.Outcome == inputs.Accepted {
			out.document = doc
		}
		return err
	}))
	if out.document == nil {
		b.Fatal("the device accepted nothing")
	}
	return out
}

// BenchmarkVerdict is a full verdict, from bytes in memory: two channels, orders
// and policy, evidence, conditions, and the render's grants.
func BenchmarkVerdict(b *testing.B) {
	d := decided(b)
	lend := func(ref inputs.Ref) ([]byte, error) { return d.archive[ref.Digest], nil }
	for b.Loop() {
		if got, err := replay.Run(b.Context(), d.document, d.root, lend); err != nil || got.Outcome != inputs.Accepted {
			b.Fatalf("%+v, %v", got, err)
		}
	}
}

// BenchmarkVerdictBareSigstore is the library alone, on the same Sigstore bundles.
func BenchmarkVerdictBareSigstore(b *testing.B) {
	d := decided(b)
	trusted, err := root.NewTrustedRootFromJSON(d.trusted)
	if err != nil {
		b.Fatal(err)
	}
	v, err := sigstore.NewVerifier(trusted, sigstore.WithSignedCertificateTimestamps(1), sigstore.WithTransparencyLog(1), sigstore.WithSignedTimestamps(1))
	if err != nil {
		b.Fatal(err)
	}
	who, err := sigstore.NewShortCertificateIdentity("", ".*", "", `^https://git\.example\.test/acme/hello/.*$`)
	if err != nil {
		b.Fatal(err)
	}
	sum, err := hex.DecodeString(d.bundle.Encoded())
	if err != nil {
		b.Fatal(err)
	}
	want := sigstore.NewPolicy(sigstore.WithArtifactDigest("sha256", sum), sigstore.WithCertificateIdentity(who))
	var bundles [][]byte
	for _, data := range d.archive {
		if strings.Contains(string(data[:min(len(data), 200)]), `"application/vnd.dev.sigstore.bundle.v0.3+json"`) && strings.Contains(string(data), "dsseEnvelope") {
			bundles = append(bundles, data)
		}
	}
	if len(bundles) != 3 {
		b.Fatalf("%d Sigstore bundles", len(bundles))
	}
	for b.Loop() {
		for _, data := range bundles {
			var parsed sigstorebundle.Bundle
			if err := parsed.UnmarshalJSON(data); err != nil {
				b.Fatal(err)
			}
			if _, err := v.Verify(&parsed, want); err != nil {
				b.Fatal(err)
			}
		}
	}
}

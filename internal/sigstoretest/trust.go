package sigstoretest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"

	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// origin is the name that Rekor signs checkpoints under. Verifiers take it from
// the host of the log's URL in the trusted root, without the port.
const origin = "127.0.0.1"

// trustedRoot is trusted_root.json.
func (s *Stack) trustedRoot(m *material) ([]byte, error) {
	ct, err := ctLogID(m.ctLog.Public())
	if err != nil {
		return nil, err
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root: m.ca.cert, ValidityPeriodStart: m.notBefore, URI: s.Fulcio,
		}},
		m.log(s.CTLog, ct, m.ctLog.Public()),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Root: m.tsaRoot.cert, Leaf: m.tsa.cert, ValidityPeriodStart: m.notBefore, URI: s.Timestamps,
		}},
		m.log(s.Rekor, rekorLogID(m.rekor.Public().(ed25519.PublicKey)), m.rekor.Public()))
	if err != nil {
		return nil, err
	}
	return json.Marshal(made)
}

// log describes one transparency log.
func (m *material) log(url string, id []byte, key crypto.PublicKey) map[string]*root.TransparencyLog {
	return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
		BaseURL:             url,
		ID:                  id,
		ValidityPeriodStart: m.notBefore,
		HashFunc:            crypto.SHA256,
		PublicKey:           key,
		SignatureHashFunc:   crypto.SHA256,
	}}
}

// ctLogID is RFC 6962 section 3.2: the hash of the key.
func ctLogID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(der)
	return id[:], nil
}

// rekorLogID is the key id of C2SP's signed notes, of which Rekor takes the
// whole hash: name, newline, the byte that says Ed25519, key.
func rekorLogID(key ed25519.PublicKey) []byte {
	id := sha256.Sum256(append([]byte(origin+"\n\x01"), key...))
	return id[:]
}

// signingConfig is signing_config.json: which servers a signer asks.
func (s *Stack) signingConfig(m *material) ([]byte, error) {
	service := func(url string, version uint32) []root.Service {
		return []root.Service{{URL: url, MajorAPIVersion: version, ValidityPeriodStart: m.notBefore, Operator: "consign.test"}}
	}
	one := root.ServiceConfiguration{Selector: trustroot.ServiceSelector_ANY}
	made, err := root.NewSigningConfig(root.SigningConfigMediaType02,
		service(s.Fulcio, 1), service(s.Issuer(GitHub), 1),
		service(s.Rekor, 2), one, service(s.Timestamps, 1), one)
	if err != nil {
		return nil, err
	}
	return json.Marshal(made)
}

package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// The files in a stack's directory that servers read. Keys are PKCS#8 in PEM.
const (
	fileCAKey   = "ca.key"
	fileCA      = "ca.pem"
	fileCTKey   = "ct.key"
	fileCTPub   = "ct.pub"
	fileLogKey  = "rekor.key"
	fileTSAKey  = "tsa.key"
	fileTSA     = "tsa.pem"
	fileIssuers = "issuers.yaml"
)

// authority is a certificate with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// material is what the servers sign with.
type material struct {
	ca             authority // Fulcio's root
	tsaRoot, tsa   authority
	ctLog          *ecdsa.PrivateKey
	rekor          ed25519.PrivateKey
	notBefore, end time.Time
}

// newMaterial makes keys and certificates that are good from an hour before now,
// so that clocks may differ, for ten years.
func newMaterial(now time.Time) (*material, error) {
	m := &material{notBefore: now.Add(-time.Hour).UTC().Truncate(time.Second)}
	m.end = m.notBefore.AddDate(10, 0, 0)
	var err error
	if m.ca, err = m.issue("root of signing certificates", nil, signingRoot); err != nil {
		return nil, err
	}
	if m.tsaRoot, err = m.issue("root of the timestamp authority", nil, timestampRoot); err != nil {
		return nil, err
	}
	if m.tsa, err = m.issue("timestamp authority", &m.tsaRoot, timestampLeaf); err != nil {
		return nil, err
	}
	if m.ctLog, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	_, m.rekor, err = ed25519.GenerateKey(rand.Reader)
	return m, err
}

func signingRoot(c *x509.Certificate) {
	c.IsCA, c.MaxPathLen = true, 1
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
}

func timestampRoot(c *x509.Certificate) {
	c.IsCA = true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

// timestampLeaf: RFC 3161 section 2.3 wants one extended key usage, critical,
// which Go's own field does not make it.
func timestampLeaf(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		panic(err) // a constant
	}
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
}

// issue makes a key and its certificate, signed by parent, or by itself.
func (m *material) issue(name string, parent *authority, shape func(*x509.Certificate)) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"consign.test"}, CommonName: name},
		NotBefore:             m.notBefore,
		NotAfter:              m.end,
		BasicConstraintsValid: true,
	}
	shape(template)
	if parent == nil {
		parent = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		return authority{}, fmt.Errorf("certificate of the %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	return authority{cert, key}, err
}

// write puts the servers' files into dir.
func (m *material) write(dir string) error {
	for name, key := range map[string]crypto.Signer{fileCAKey: m.ca.key, fileCTKey: m.ctLog, fileLogKey: m.rekor, fileTSAKey: m.tsa.key} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), encode("PRIVATE KEY", der), 0o600); err != nil {
			return err
		}
	}
	ctPub, err := x509.MarshalPKIXPublicKey(m.ctLog.Public())
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		fileCTPub: encode("PUBLIC KEY", ctPub),
		fileCA:    encode("CERTIFICATE", m.ca.cert.Raw),
		fileTSA:   append(encode("CERTIFICATE", m.tsa.cert.Raw), encode("CERTIFICATE", m.tsaRoot.cert.Raw)...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

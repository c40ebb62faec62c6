package verify_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// bombs are bundles that are as large as a bundle may be, each with too much of
// something.
func bombs(t testing.TB) map[string][]byte {
	t.Helper()
	many := func(n int, what any) []any {
		out := make([]any, n)
		for i := range out {
			out[i] = what
		}
		return out
	}
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32))
	long := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	proof := func(d map[string]any) map[string]any { return entry(d)["inclusionProof"].(map[string]any) }
	checkpoint := func(d map[string]any, more string) {
		proof(d)["checkpoint"] = map[string]any{"envelope": proof(d)["checkpoint"].(map[string]any)["envelope"].(string) + more}
	}
	line := "\u2014 127.0.0.1 " + base64.StdEncoding.EncodeToString(make([]byte, 68)) + "\n"
	out := map[string][]byte{}
	for name, edit := range map[string]func(d map[string]any){
		"entries":            func(d map[string]any) { material(d)["tlogEntries"] = many(60, entry(d)) },
		"empty entries":      func(d map[string]any) { material(d)["tlogEntries"] = many(60000, map[string]any{}) },
		"proof":              func(d map[string]any) { proof(d)["hashes"] = many(5000, hash) },
		"empty proof hashes": func(d map[string]any) { proof(d)["hashes"] = many(80000, "") },
		"cosignatures":       func(d map[string]any) { checkpoint(d, strings.Repeat(line, 1800)) },
		"lines":              func(d map[string]any) { checkpoint(d, strings.Repeat("\n", 120000)) },
		"timestamps": func(d map[string]any) {
			stamps(d)["rfc3161Timestamps"] = many(80, stamps(d)["rfc3161Timestamps"].([]any)[0])
		},
		"empty timestamps": func(d map[string]any) { stamps(d)["rfc3161Timestamps"] = many(60000, map[string]any{}) },
		"eight long timestamps": func(d map[string]any) {
			stamps(d)["rfc3161Timestamps"] = many(8, map[string]any{"signedTimestamp": long(20000)})
		},
		"certificate": func(d map[string]any) { material(d)["certificate"] = map[string]any{"rawBytes": long(150000)} },
		"subjects": func(d map[string]any) {
			material(d)["certificate"] = map[string]any{"rawBytes": namesake(t, 4000, 2048)}
		},
		"modulus": func(d map[string]any) { material(d)["certificate"] = map[string]any{"rawBytes": namesake(t, 1, 1<<20)} },
		"signature": func(d map[string]any) {
			d["dsseEnvelope"].(map[string]any)["signatures"] = many(1, map[string]any{"sig": long(150000)})
		},
		"signatures": func(d map[string]any) {
			d["dsseEnvelope"].(map[string]any)["signatures"] = many(15000, map[string]any{"sig": "AA"})
		},
		"deep payload": func(d map[string]any) {
			d["dsseEnvelope"].(map[string]any)["payload"] = body(strings.Repeat("[", 90000))
		},
		"body": func(d map[string]any) { entry(d)["canonicalizedBody"] = long(150000) },
		"eight requests": func(d map[string]any) {
			entry(d)["canonicalizedBody"] = body(fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"dsse","spec":{"proposedContent":{"envelope":%q,"verifiers":[%s]}}}`, `{}`, strings.TrimSuffix(strings.Repeat(`"AAAA",`, 2000), ",")))
			material(d)["tlogEntries"] = many(8, entry(d))
		},
	} {
		out[name] = edited(t, "tag", edit)
	}
	for name, der := range map[string][]byte{
		"timestamp with a long key": longKey(t, 1<<16*8), "with a key a little long": longKey(t, 8192), "with long entrails": nested(t, 40000), "with entrails": nested(t, 3000),
	} {
		out[name] = stamped(t, der)
	}
	out["entry with a long key"] = edited(t, "tag", func(d map[string]any) { material(d)["tlogEntries"] = many(7, oldEntry(t, d, 1<<16)) })
	out["chain"] = edited(t, "tag", func(d map[string]any) {
		cert := material(d)["certificate"]
		delete(material(d), "certificate")
		material(d)["x509CertificateChain"] = map[string]any{"certificates": many(100, cert)}
	})
	return out
}

// namesake is a certificate that names the issuer of the golden ones, with many
// subjects and a long RSA modulus.
func namesake(t testing.TB, names, bits int) string {
	t.Helper()
	var genuine *x509.Certificate
	edited(t, "tag", func(d map[string]any) {
		genuine = ok(x509.ParseCertificate(ok(base64.StdEncoding.DecodeString(material(d)["certificate"].(map[string]any)["rawBytes"].(string)))))
	})
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: genuine.NotBefore, NotAfter: genuine.NotAfter}
	for n := range names {
		template.DNSNames = append(template.DNSNames, fmt.Sprint(n, ".example"))
	}
	issuer := &x509.Certificate{RawSubject: genuine.RawIssuer, SubjectKeyId: genuine.AuthorityKeyId}
	key := ok(keys.Generate())
	der := ok(x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), key))
	if bits <= 2048 {
		return base64.StdEncoding.EncodeToString(der)
	}
	return base64.StdEncoding.EncodeToString(withModulus(t, der, bits))
}

// withModulus exchanges the key in a certificate for an RSA key of so many bits.
func withModulus(t testing.TB, der []byte, bits int) []byte {
	t.Helper()
	type tbs struct {
		Version      int `asn1:"optional,explicit,default:0,tag:0"`
		SerialNumber *big.Int
		Algorithm    pkix.AlgorithmIdentifier
		Issuer       asn1.RawValue
		Validity     asn1.RawValue
		Subject      asn1.RawValue
		PublicKey    asn1.RawValue
		Extensions   []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
	}
	type certificate struct {
		TBS       tbs
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	var c certificate
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		t.Fatal(err)
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	modulus.SetBit(modulus, 0, 1)
	point := ok(asn1.Marshal(struct {
		N *big.Int
		E int
	}{modulus, 1<<31 - 1}))
	spki := ok(asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}, asn1.BitString{Bytes: point, BitLength: len(point) * 8}}))
	c.TBS.PublicKey = asn1.RawValue{FullBytes: spki}
	out := ok(asn1.Marshal(c))
	if _, err := x509.ParseCertificate(out); err != nil {
		t.Fatalf("the certificate with a long modulus: %v", err)
	}
	return out
}

// TestAttackS15Bombs: no bundle costs much more than its bytes, whatever there is
// too much of in it.
func TestAttackS15Bombs(t *testing.T) {
	root := ok(verify.ParseTrustedRoot(golden(t, "trusted_root")))
	accepted := verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": root}}
	for name, data := range bombs(t) {
		if len(data) > verify.MaxSignatureBytes {
			t.Fatalf("%s has %d bytes, which nobody would read", name, len(data))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		e, err := verify.ParseEvidence(data)
		if err == nil {
			_, err = e.CheckSignature(signed, accepted)
		}
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		switch made := after.TotalAlloc - before.TotalAlloc; {
		case err == nil || !reason.Of(err).Valid() || reason.Is(err, reason.Internal) || len(err.Error()) > 2000:
			t.Errorf("%s: refused with %d letters: %.300v", name, len(fmt.Sprint(err)), err)
		case took > 30*time.Second || made > 200<<20:
			t.Errorf("%s took %s and %d MiB", name, took, made>>20)
		default:
			t.Logf("%s: %s, %d KiB: %.120v", name, took, made>>10, err)
		}
	}
}

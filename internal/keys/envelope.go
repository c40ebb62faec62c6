package keys

import (
	"crypto/aes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"

	"github.com/consign-dev/consign/internal/reason"
)

// The only scheme accepted: PBES2 with scrypt and AES-256-CBC.
var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidAES256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// The derivation's cost comes from the file. The least is what OpenSSL writes;
// the most is 256 MiB and some seconds, so that a planted file cannot stall or
// exhaust the machine.
const (
	minScryptN      = 1 << 14
	maxScryptMemory = 256 << 20
	maxScryptP      = 16
)

// RFC 5958 section 3, RFC 8018 appendix A.4, RFC 7914 section 7.
type (
	envelope struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2 struct {
		KDF, Cipher pkix.AlgorithmIdentifier
	}
	scryptParams struct {
		Salt      []byte
		N, R, P   int
		KeyLength int `asn1:"optional"`
	}
)

// checkEnvelope admits to the decryption library only what it handles: it
// panics on a wrong block length and takes any cost on faith.
func checkEnvelope(der []byte) error {
	var e envelope
	if err := decode(der, &e); err != nil {
		return malformed("not an encrypted PKCS#8 key: %w", err)
	}
	var scheme pbes2
	if !e.Algorithm.Algorithm.Equal(oidPBES2) {
		return malformed("key is encrypted with %s; only PBES2 with scrypt is read", e.Algorithm.Algorithm)
	}
	if err := decode(e.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return malformed("PBES2 parameters: %w", err)
	}
	if len(e.Data) == 0 || len(e.Data)%aes.BlockSize != 0 {
		return malformed("encrypted data of %d bytes is not made of whole blocks", len(e.Data))
	}
	if err := checkCipher(scheme.Cipher); err != nil {
		return err
	}
	return checkKDF(scheme.KDF)
}

func checkCipher(c pkix.AlgorithmIdentifier) error {
	var iv []byte
	if !c.Algorithm.Equal(oidAES256) {
		return malformed("key is encrypted with cipher %s; only AES-256-CBC is read", c.Algorithm)
	}
	if err := decode(c.Parameters.FullBytes, &iv); err != nil || len(iv) != aes.BlockSize {
		return malformed("the initialization vector is not %d bytes", aes.BlockSize)
	}
	return nil
}

func checkKDF(k pkix.AlgorithmIdentifier) error {
	var p scryptParams
	if !k.Algorithm.Equal(oidScrypt) {
		return malformed("passphrase derivation %s; only scrypt is read, convert the key with 'openssl pkcs8 -topk8 -scrypt'", k.Algorithm)
	}
	if err := decode(k.Parameters.FullBytes, &p); err != nil {
		return malformed("scrypt parameters: %w", err)
	}
	if p.N < minScryptN || p.N&(p.N-1) != 0 || p.R < 1 || p.R > maxScryptMemory/128/p.N || p.P < 1 || p.P > maxScryptP {
		return malformed("scrypt cost N=%d r=%d p=%d is outside what is accepted; convert the key with 'openssl pkcs8 -topk8 -scrypt'", p.N, p.R, p.P)
	}
	if p.KeyLength != 0 && p.KeyLength != 32 {
		return malformed("scrypt derives %d bytes where AES-256 needs 32", p.KeyLength)
	}
	return nil
}

func decode(der []byte, out any) error {
	rest, err := asn1.Unmarshal(der, out)
	if err == nil && len(rest) > 0 {
		err = errors.New("trailing data")
	}
	return err
}

func malformed(format string, args ...any) error {
	return reason.New(reason.Malformed, format, args...)
}

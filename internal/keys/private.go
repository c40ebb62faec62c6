package keys

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/youmark/pkcs8"

	"github.com/consign-dev/consign/internal/reason"
)

// MaxBytes bounds a key file. The largest accepted key, RSA with 4096 bits,
// takes 3.4 KiB when encrypted.
const MaxBytes = 16 << 10

// ErrPassphrase says that the passphrase does not open the key.
var ErrPassphrase = errors.New("wrong passphrase")

const encryptedType = "ENCRYPTED PRIVATE KEY"

// Cost is what one guess at a passphrase costs: the parameter p of scrypt with
// N=2^14 and r=8, from 1 to 16. It is written into the key file.
type Cost int

// Standard is 0.2 s and 16 MiB: one of the equivalent settings of the OWASP
// Password Storage Cheat Sheet, and the one whose memory OpenSSL's default limit
// of 32 MiB admits. Less is for keys that do not outlive a test.
const Standard Cost = 5

func (c Cost) options() pkcs8.ScryptOpts {
	return pkcs8.ScryptOpts{SaltSize: 16, CostParameter: minScryptN, BlockSize: 8, ParallelizationParameter: int(c)}
}

// Marshal encrypts s, which must be a key of this process's memory, into PEM.
// An empty passphrase is refused.
func Marshal(s crypto.Signer, passphrase []byte, cost Cost) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, errors.New("encrypt key: the passphrase is empty; signing keys are never stored unencrypted")
	}
	if cost < 1 || cost > maxScryptP {
		return nil, fmt.Errorf("encrypt key: cost %d is not from 1 to %d", cost, maxScryptP)
	}
	if err := checkAlgorithm(s.Public()); err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	der, err := pkcs8.MarshalPrivateKey(s, passphrase, &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: cost.options()})
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: encryptedType, Bytes: der}), nil
}

// Unmarshal opens what [Marshal] or OpenSSL made. The error is
// [ErrPassphrase], or has reason malformed or too-large.
func Unmarshal(data, passphrase []byte) (crypto.Signer, error) {
	der, err := encrypted(data)
	if err != nil {
		return nil, err
	}
	// The library takes an empty passphrase to mean "not encrypted".
	if len(passphrase) == 0 {
		return nil, ErrPassphrase
	}
	key, err := pkcs8.ParsePKCS8PrivateKey(der, passphrase)
	if err != nil {
		// The envelope was checked, so what is left is that decryption gave noise.
		return nil, ErrPassphrase
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, reason.New(reason.Malformed, "key of type %T cannot sign", key)
	}
	if err := checkAlgorithm(signer.Public()); err != nil {
		return nil, reason.Wrap(reason.Malformed, err)
	}
	return signer, nil
}

// encrypted returns the DER of the one encrypted key in data, or says what to
// do with the kind of key that is there instead.
func encrypted(data []byte) ([]byte, error) {
	block, err := onlyBlock(data)
	if err != nil {
		return nil, err
	}
	switch {
	case block.Type == encryptedType:
		return block.Bytes, checkEnvelope(block.Bytes)
	case block.Type == publicType:
		return nil, reason.New(reason.Malformed, "this is a public key; the private key of the pair is needed")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, reason.New(reason.Malformed, "PEM block %q: only scrypt encrypted PKCS#8 is read; "+
			"convert the key with 'openssl pkcs8 -topk8 -scrypt -in OLD -out NEW' and delete the old file", block.Type)
	default:
		return nil, reason.New(reason.Malformed, "PEM block is %q where %q is needed", block.Type, encryptedType)
	}
}

// onlyBlock returns the one PEM block of data: no headers, nothing around it.
func onlyBlock(data []byte) (*pem.Block, error) {
	if len(data) > MaxBytes {
		return nil, reason.New(reason.TooLarge, "%d bytes where a key has at most %d", len(data), MaxBytes)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN ")) {
		return nil, reason.New(reason.Malformed, "not a PEM file: it does not begin with -----BEGIN")
	}
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, reason.New(reason.Malformed, "not a PEM file: the block does not decode")
	case len(block.Headers) > 0:
		return nil, reason.New(reason.Malformed, "PEM block %q has headers; convert the key with 'openssl pkcs8 -topk8 -scrypt'", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, reason.New(reason.Malformed, "more than one PEM block; a key file holds one key")
	}
	return block, nil
}

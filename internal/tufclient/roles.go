package tufclient

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

var topLevel = []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS}

// minRSABits is what the rest of Consign demands of RSA keys, too.
const minRSABits = 3072

// checkRootRoles checks keys and roles of a root document. A threshold above
// the number of keys is left to stand: it does no harm but to its own role,
// for which no document can then be signed, and a root that repairs it must
// still be able to follow.
func checkRootRoles(s *metadata.RootType) error {
	prints, err := checkKeys("keys", s.Keys)
	if err != nil {
		return err
	}
	for _, name := range topLevel {
		role := s.Roles[name]
		if err := checkQuorum("roles."+name, role.Threshold, role.KeyIDs, prints); err != nil {
			return err
		}
	}
	return nil
}

// checkDelegations checks the delegations of a targets document, if any.
func checkDelegations(d *metadata.Delegations) error {
	if d == nil {
		return nil
	}
	prints, err := checkKeys("delegations.keys", d.Keys)
	if err != nil {
		return err
	}
	if s := d.SuccinctRoles; s != nil {
		if d.Roles != nil {
			return reason.New(reason.Malformed, "delegations: has both roles and succinct_roles")
		}
		if s.NamePrefix == "" || len(s.NamePrefix) > maxRoleName-16 {
			return reason.New(reason.Malformed, "delegations.succinct_roles.name_prefix: want 1 to %d bytes", maxRoleName-16)
		}
		return checkQuorum("delegations.succinct_roles", s.Threshold, s.KeyIDs, prints)
	}
	if len(d.Roles) > MaxRoles {
		return reason.New(reason.TooLarge, "delegations.roles: %d roles, at most %d are read", len(d.Roles), MaxRoles)
	}
	seen := map[string]bool{}
	for _, r := range d.Roles {
		if seen[r.Name] {
			return reason.New(reason.Malformed, "delegations.roles: %s is listed twice", quoteRole(r.Name))
		}
		seen[r.Name] = true
		if err := checkDelegatedRole(r, prints); err != nil {
			return err
		}
	}
	return nil
}

func checkDelegatedRole(r metadata.DelegatedRole, prints map[string]string) error {
	if r.Name == "" || len(r.Name) > maxRoleName {
		return reason.New(reason.Malformed, "delegations.roles: a role name has %d bytes: want 1 to %d", len(r.Name), maxRoleName)
	}
	where := "delegations.roles." + quoteRole(r.Name)
	if slices.Contains(topLevel, r.Name) {
		return reason.New(reason.Malformed, "%s: the name of a top-level role cannot be delegated to", where)
	}
	if len(r.PathHashPrefixes) > 0 {
		return reason.New(reason.Malformed, "%s: path_hash_prefixes are not supported: delegate by paths or succinct_roles", where)
	}
	for _, p := range r.Paths {
		if _, err := filepath.Match(p, ""); err != nil {
			return reason.New(reason.Malformed, "%s: paths: %q is not a valid pattern", where, p)
		}
	}
	return checkQuorum(where, r.Threshold, r.KeyIDs, prints)
}

// checkQuorum checks one role's threshold and keys. prints maps key ids to the
// fingerprints of their keys.
func checkQuorum(where string, threshold int, keyIDs []string, prints map[string]string) error {
	if threshold < 1 {
		return reason.New(reason.Malformed, "%s.threshold: %d is less than 1", where, threshold)
	}
	if len(keyIDs) > maxRoleKeys {
		return reason.New(reason.TooLarge, "%s.keyids: %d keys, at most %d are read", where, len(keyIDs), maxRoleKeys)
	}
	holder := map[string]string{}
	for _, id := range keyIDs {
		fp, ok := prints[id]
		if !ok {
			return reason.New(reason.Malformed, "%s.keyids: there is no key %q", where, id)
		}
		switch other, twice := holder[fp]; {
		case twice && other == id:
			return reason.New(reason.Malformed, "%s.keyids: key %q is listed twice", where, id)
		case twice:
			return reason.New(reason.Malformed, "%s.keyids: %q and %q are the same key", where, other, id)
		}
		holder[fp] = id
	}
	return nil
}

// checkKeys returns the fingerprint of every key: the SHA-256 of its DER
// SubjectPublicKeyInfo, in hexadecimal.
func checkKeys(where string, keys map[string]*metadata.Key) (map[string]string, error) {
	prints := make(map[string]string, len(keys))
	for id, k := range keys {
		fp, err := fingerprint(k)
		if err != nil {
			return nil, reason.New(reason.Malformed, "%s.%q: %w", where, id, err)
		}
		prints[id] = fp
	}
	return prints, nil
}

// fingerprint also checks what go-tuf leaves open: an Ed25519 key of another
// length ends the process in the standard library, and a scheme that does not
// fit its key is silently replaced.
func fingerprint(k *metadata.Key) (string, error) {
	if k.Type == metadata.KeyTypeEd25519 && len(k.Value.PublicKey) != 2*ed25519.PublicKeySize {
		return "", reason.New(reason.Malformed, "an Ed25519 key has %d hexadecimal digits", 2*ed25519.PublicKeySize)
	}
	pub, err := k.ToPublicKey()
	if err != nil {
		return "", err
	}
	want, err := scheme(pub)
	if err != nil {
		return "", err
	}
	if k.Scheme != want {
		return "", reason.New(reason.Malformed, "scheme %q does not fit the key: want %q", k.Scheme, want)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// scheme returns the one signature scheme that is accepted for a key (TUF
// 1.0.34 section 4.2).
func scheme(pub crypto.PublicKey) (string, error) {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return metadata.KeySchemeEd25519, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return metadata.KeySchemeECDSA_SHA2_P256, nil
		case elliptic.P384():
			return metadata.KeySchemeECDSA_SHA2_P384, nil
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSABits {
			return metadata.KeySchemeRSASSA_PSS_SHA256, nil
		}
	}
	return "", reason.New(reason.Malformed, "want an Ed25519 key, an ECDSA key on P-256 or P-384, or an RSA key of at least %d bits", minRSABits)
}

package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// lifetime is how long a token is good for, unless its claims say otherwise.
const lifetime = 10 * time.Minute

type claims map[string]any

// issuer is one OpenID Connect issuer: a URL and a key.
type issuer struct {
	url    string
	key    jose.JSONWebKey
	signer jose.Signer

	mu   sync.Mutex
	jobs map[string]claims // by request token
}

// newIssuer makes one with a new key. RS256 is what CI systems sign with, and
// the one algorithm that every client of Sigstore takes.
func newIssuer(url string) (*issuer, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	key := jose.JSONWebKey{Key: private, KeyID: "1", Algorithm: string(jose.RS256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	return &issuer{url: url, key: key, signer: signer, jobs: map[string]claims{}}, nil
}

// mint signs a token: the usual claims for an audience, then the given ones,
// which win.
func (i *issuer) mint(audience string, given claims) (string, error) {
	now := time.Now()
	all := claims{
		"iss": i.url,
		"aud": audience,
		"iat": now.Unix(),
		// Room for clocks that differ by a little.
		"nbf": now.Add(-5 * time.Second).Unix(),
		"exp": now.Add(lifetime).Unix(),
	}
	maps.Copy(all, given)
	payload, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	signed, err := i.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// start keeps the claims of a job and returns the token by which it asks for
// its ID tokens.
func (i *issuer) start(c claims) string {
	token := rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.jobs[token] = c
	return token
}

// tokenFor mints a token for the job that has this request token. Here the
// audience is the caller's choice and all else the job's.
func (i *issuer) tokenFor(requestToken, audience string) (string, error) {
	i.mu.Lock()
	job, ok := i.jobs[requestToken]
	i.mu.Unlock()
	if !ok {
		return "", errors.New("no job has this request token")
	}
	job = maps.Clone(job)
	delete(job, "aud")
	return i.mint(audience, job)
}

package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// Bounds of what a rule may ask of certificates.
const (
	// maxIdentities bounds the identities of one rule; each costs a comparison for
	// every signature that is looked at.
	maxIdentities = 64
	// maxText bounds one issuer, subject or claim. Fulcio's own are below 1 KiB.
	maxText = 2048
)

// TrustedRoot is a Sigstore instance whose certificates the policy knows: the
// CAs, transparency logs and timestamp authorities with the times at which each
// was in use.
type TrustedRoot struct {
	// File is the title of the file in the policy artifact that holds it, a
	// trusted_root.json (Sigstore protobuf-specs, TrustedRoot).
	File string `yaml:"file"`
	// Witnesses must have seen the trees of its transparency logs, too; nil for none.
	Witnesses *Witnesses `yaml:"witnesses"`
}

// Identity is who a certificate must have been issued to: a person or a
// workflow, by the word of an OpenID Connect issuer.
//
// Subject and each claim are compared exactly, or, when they begin with "^" and
// end with "$", are patterns for the whole value.
type Identity struct {
	// TrustedRoot is a name in [TrustPolicy.TrustedRoots]: under that instance
	// alone the signature is verified.
	TrustedRoot string `yaml:"trustedRoot"`
	// Issuer is the URL of the OpenID Connect issuer, compared exactly.
	Issuer string `yaml:"issuer"`
	// Subject is the certificate's only subject alternative name, such as
	// https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.3
	// or an e-mail address.
	Subject string `yaml:"subject"`
	// Claims must all be made by the certificate.
	Claims Claims `yaml:"claims,omitempty"`
}

// Claims are what a certificate says about the build that it was issued to
// (Fulcio, OID 1.3.6.1.4.1.57264.1.9 to 22). An empty one is not asked for, or
// not made.
type Claims struct {
	BuildSignerURI                      string `yaml:"buildSignerURI,omitempty" json:"buildSignerURI,omitempty"`
	BuildSignerDigest                   string `yaml:"buildSignerDigest,omitempty" json:"buildSignerDigest,omitempty"`
	RunnerEnvironment                   string `yaml:"runnerEnvironment,omitempty" json:"runnerEnvironment,omitempty"`
	SourceRepositoryURI                 string `yaml:"sourceRepositoryURI,omitempty" json:"sourceRepositoryURI,omitempty"`
	SourceRepositoryDigest              string `yaml:"sourceRepositoryDigest,omitempty" json:"sourceRepositoryDigest,omitempty"`
	SourceRepositoryRef                 string `yaml:"sourceRepositoryRef,omitempty" json:"sourceRepositoryRef,omitempty"`
	SourceRepositoryIdentifier          string `yaml:"sourceRepositoryIdentifier,omitempty" json:"sourceRepositoryIdentifier,omitempty"`
	SourceRepositoryOwnerURI            string `yaml:"sourceRepositoryOwnerURI,omitempty" json:"sourceRepositoryOwnerURI,omitempty"`
	SourceRepositoryOwnerIdentifier     string `yaml:"sourceRepositoryOwnerIdentifier,omitempty" json:"sourceRepositoryOwnerIdentifier,omitempty"`
	BuildConfigURI                      string `yaml:"buildConfigURI,omitempty" json:"buildConfigURI,omitempty"`
	BuildConfigDigest                   string `yaml:"buildConfigDigest,omitempty" json:"buildConfigDigest,omitempty"`
	BuildTrigger                        string `yaml:"buildTrigger,omitempty" json:"buildTrigger,omitempty"`
	RunInvocationURI                    string `yaml:"runInvocationURI,omitempty" json:"runInvocationURI,omitempty"`
	SourceRepositoryVisibilityAtSigning string `yaml:"sourceRepositoryVisibilityAtSigning,omitempty" json:"sourceRepositoryVisibilityAtSigning,omitempty"`
}

// claim is one of Claims by its name in a policy.
type claim struct{ name, value string }

var claimNames = []string{
	"buildSignerURI",
	"buildSignerDigest",
	"runnerEnvironment",
	"sourceRepositoryURI",
	"sourceRepositoryDigest",
	"sourceRepositoryRef",
	"sourceRepositoryIdentifier",
	"sourceRepositoryOwnerURI",
	"sourceRepositoryOwnerIdentifier",
	"buildConfigURI",
	"buildConfigDigest",
	"buildTrigger",
	"runInvocationURI",
	"sourceRepositoryVisibilityAtSigning",
}

// texts are the values in the order of claimNames.
func (c *Claims) texts() []*string {
	return []*string{
		&c.BuildSignerURI,
		&c.BuildSignerDigest,
		&c.RunnerEnvironment,
		&c.SourceRepositoryURI,
		&c.SourceRepositoryDigest,
		&c.SourceRepositoryRef,
		&c.SourceRepositoryIdentifier,
		&c.SourceRepositoryOwnerURI,
		&c.SourceRepositoryOwnerIdentifier,
		&c.BuildConfigURI,
		&c.BuildConfigDigest,
		&c.BuildTrigger,
		&c.RunInvocationURI,
		&c.SourceRepositoryVisibilityAtSigning,
	}
}

func (c Claims) list() []claim {
	var out []claim
	for n, text := range c.texts() {
		out = append(out, claim{claimNames[n], *text})
	}
	return out
}

// Check decides whether a signer is this identity. The refusal has reason
// identity and names the first thing that differs, what is expected and what was
// found (attacks S4 and S5).
func (i Identity) Check(s Signer) error {
	differs := func(name, want, got string) error {
		return reason.New(reason.Identity, "%s: %s expected, the certificate says %.200q", name, described(want), got)
	}
	switch {
	case s.KeyID != "":
		return reason.New(reason.Identity, "signed with key %.100q, and a certificate is expected", s.KeyID)
	case s.TrustedRoot != i.TrustedRoot:
		return reason.New(reason.Identity, "trustedRoot: certified under %.100q, %q is expected", s.TrustedRoot, i.TrustedRoot)
	case s.Issuer != i.Issuer:
		return differs("issuer", i.Issuer, s.Issuer)
	case !matches(i.Subject, s.Subject):
		return differs("subject", i.Subject, s.Subject)
	}
	found := s.Claims.list()
	for n, want := range i.Claims.list() {
		if want.value != "" && !matches(want.value, found[n].value) {
			return differs("claims."+want.name, want.value, found[n].value)
		}
	}
	return nil
}

func described(want string) string {
	if isPattern(want) {
		return fmt.Sprintf("a value that matches %q is", want)
	}
	return fmt.Sprintf("%q is", want)
}

func (i Identity) validate(roots map[string]TrustedRoot) error {
	if _, ok := roots[i.TrustedRoot]; !ok {
		return fmt.Errorf("trustedRoot: %.100q is not declared under trustedRoots", i.TrustedRoot)
	}
	if !strings.HasPrefix(i.Issuer, "https://") && !strings.HasPrefix(i.Issuer, "http://") || !plainText(i.Issuer) {
		return fmt.Errorf("issuer: %.200q is not the URL of an OpenID Connect issuer, written out", i.Issuer)
	}
	if i.Subject == "" {
		return errors.New("subject: is missing; whoever the issuer knows would be accepted")
	}
	if err := checkText(i.Subject); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	if fitsAnything(i.Subject) {
		return fmt.Errorf("subject: %.200q fits whoever the issuer knows", i.Subject)
	}
	for _, c := range i.Claims.list() {
		if err := checkText(c.value); err != nil {
			return fmt.Errorf("claims.%s: %w", c.name, err)
		}
	}
	return nil
}

// ProposeIdentity is the identity that accepts a signer, and others of the same
// pipeline: what differs with each run, such as the commit, is left out. Whether
// it should be accepted is the operator's to say.
func ProposeIdentity(s Signer) Identity {
	c := s.Claims
	c.BuildSignerDigest, c.SourceRepositoryDigest, c.BuildConfigDigest, c.RunInvocationURI = "", "", "", ""
	i := Identity{TrustedRoot: s.TrustedRoot, Issuer: s.Issuer, Subject: s.Subject, Claims: c}
	// Nothing of what anybody may write into a certificate becomes a pattern.
	for _, text := range append(i.Claims.texts(), &i.Subject) {
		if isPattern(*text) {
			*text = "^" + regexp.QuoteMeta(*text) + "$"
		}
	}
	return i
}

// Text is the identity as an entry of a policy's identities.
func (i Identity) Text() (string, error) {
	data, err := strictyaml.Marshal([]Identity{i})
	return string(data), err
}

package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

const (
	commit  = "8843d7f92416211de9ebb963ff4ce28125932878"
	wholeID = "1111111111111111111111111111111111111111111111111111111111111111"
	imageA  = "2222222222222222222222222222222222222222222222222222222222222222"
	imageB  = "3333333333333333333333333333333333333333333333333333333333333333"
)

var about = policy.Subjects{Bundle: wholeID, Images: []string{imageA, imageB}}

// dependency is an entry of resolvedDependencies.
type dependency struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

func git(address, commit string) dependency {
	return dependency{"git+" + address, map[string]string{"gitCommit": commit}}
}

func material(d string) dependency {
	return dependency{"pkg:oci/x", map[string]string{"sha256": d}}
}

// predicate is a SLSA provenance.
func predicate(builder, buildType string, dependencies ...dependency) []byte {
	data, err := json.Marshal(map[string]any{
		"buildDefinition": map[string]any{"buildType": buildType, "externalParameters": map[string]any{"any": []int{1}}, "resolvedDependencies": dependencies},
		"runDetails":      map[string]any{"builder": map[string]any{"id": builder}, "metadata": map[string]any{}},
	})
	if err != nil {
		panic(err)
	}
	return data
}

const (
	hosted    = "https://github.com/actions/runner/github-hosted"
	buildType = "https://actions.github.io/buildtypes/workflow/v1"
	tagged    = "https://github.com/acme/app@refs/tags/v1.2.3"
)

// built is the provenance of a release by the pipeline that [wanted] names.
func built(dependencies ...dependency) policy.Attestation {
	s := released()
	s.Claims.SourceRepositoryDigest = commit
	if dependencies == nil {
		dependencies = []dependency{git(tagged, commit), material(imageA), material(imageB)}
	}
	return policy.Attestation{
		Signers: []policy.Signer{s}, PredicateType: policy.SLSAProvenance, Subjects: []string{wholeID}, Predicate: predicate(hosted, buildType, dependencies...),
	}
}

// demand is a rule that [built] satisfies.
func demand() policy.AttestationRule {
	return policy.AttestationRule{
		Name: "provenance", PredicateType: policy.SLSAProvenance, About: policy.AboutBundle, Threshold: 1,
		Identities: []policy.Identity{wanted()},
		Provenance: &policy.ProvenanceRule{
			Builder: hosted, BuildType: buildType, Materials: "images",
			Source: policy.SourceRule{URI: "https://github.com/acme/app", Ref: `^refs/tags/v[0-9.]+$`},
		},
	}
}

func TestProvenanceSaysWhatIsDemanded(t *testing.T) {
	if _, err := demand().Check([]policy.Attestation{built()}, about); err != nil {
		t.Error(err)
	}
}

// TestAttackS19Absence: what a rule demands and is not there, is about something
// else, or is by somebody else, is refused; so is what only looks like it.
func TestAttackS19Absence(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *policy.Attestation)
		code   reason.Code
		says   string
	}{
		"another type":       {func(a *policy.Attestation) { a.PredicateType = "https://slsa.dev/verification_summary/v1" }, reason.Attestation, "there is none"},
		"an older type":      {func(a *policy.Attestation) { a.PredicateType = "https://slsa.dev/provenance/v0.2" }, reason.Attestation, "there is none"},
		"an image alone":     {func(a *policy.Attestation) { a.Subjects = []string{imageA} }, reason.Attestation, "there is none"},
		"nothing":            {func(a *policy.Attestation) { a.Subjects = nil }, reason.Attestation, "there is none"},
		"somebody else":      {func(a *policy.Attestation) { a.Signers[0].Subject = "https://github.com/evil/app" }, reason.Identity, "subject"},
		"a key":              {func(a *policy.Attestation) { a.Signers = []policy.Signer{{KeyID: "k"}} }, reason.UntrustedSigner, "not accept"},
		"no predicate":       {func(a *policy.Attestation) { a.Predicate = nil }, reason.Malformed, "provenance"},
		"an empty predicate": {func(a *policy.Attestation) { a.Predicate = []byte("{}") }, reason.Provenance, "certificate"},
		"another's case": {func(a *policy.Attestation) {
			a.Predicate = []byte(strings.Replace(string(a.Predicate), `"runDetails"`, `"RunDetails"`, 1))
		}, reason.Malformed, "runDetails"},
		"another builder": {func(a *policy.Attestation) {
			a.Predicate = predicate(hosted+"/x", buildType, git(tagged, commit), material(imageA), material(imageB))
		}, reason.Provenance, "builder"},
		"another build type": {func(a *policy.Attestation) {
			a.Predicate = predicate(hosted, "https://evil.example", git(tagged, commit), material(imageA), material(imageB))
		}, reason.Provenance, "buildType"},
		"an image is missing": {func(a *policy.Attestation) {
			a.Predicate = predicate(hosted, buildType, git(tagged, commit), material(imageA))
		}, reason.Provenance, imageB},
	} {
		a := built()
		c.change(&a)
		if _, err := demand().Check([]policy.Attestation{a}, about); !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %s with %q", name, err, c.code, c.says)
		}
		if _, err := demand().Check([]policy.Attestation{a, built()}, about); err != nil {
			t.Errorf("%s beside a good one: %v", name, err)
		}
	}
	if _, err := demand().Check(nil, about); !reason.Is(err, reason.Attestation) {
		t.Errorf("none at all: %v", err)
	}
}

// TestAttackS6TwoSources: the certificate and what its holder says must name one
// source, in every part, also where the rule does not ask for it.
func TestAttackS6TwoSources(t *testing.T) {
	other := strings.Repeat("a", 40)
	rule := demand()
	rule.Provenance = nil
	for name, dependencies := range map[string][]dependency{
		"another repository":  {git("https://github.com/evil/app@refs/tags/v1.2.3", commit)},
		"another commit":      {git(tagged, other)},
		"another ref":         {git("https://github.com/acme/app@refs/heads/main", commit)},
		"no ref":              {git("https://github.com/acme/app", commit)},
		"two":                 {git("https://github.com/evil/app@refs/heads/main", other), git(tagged, commit)},
		"two, the good first": {git(tagged, commit), git("https://github.com/evil/app@refs/heads/main", other)},
		"none":                {material(imageA)},
		"a user in front":     {git("https://github.com@evil.example/acme/app@refs/tags/v1.2.3", commit)},
		"no git":              {{tagged, map[string]string{"sha256": imageA}}},
	} {
		if _, err := rule.Check([]policy.Attestation{built(dependencies...)}, about); !reason.Is(err, reason.Provenance) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := rule.Check([]policy.Attestation{built(git(tagged, commit))}, about); err != nil {
		t.Errorf("the one source: %v", err)
	}
}

// TestAttestationsOfImages: each image needs one.
func TestAttestationsOfImages(t *testing.T) {
	rule := demand()
	rule.About, rule.Provenance.Materials = policy.AboutImages, ""
	one, both := built(), built()
	one.Subjects, both.Subjects = []string{imageA}, []string{imageA, imageB}
	if _, err := rule.Check([]policy.Attestation{both}, about); err != nil {
		t.Error(err)
	}
	if _, err := rule.Check([]policy.Attestation{one, built()}, about); !reason.Is(err, reason.Attestation) || !strings.Contains(err.Error(), imageB) {
		t.Errorf("one of two images: %v", err)
	}
}

// TestAttackS19NothingToBeAbout: a bundle without images has none that is attested.
func TestAttackS19NothingToBeAbout(t *testing.T) {
	none := policy.Subjects{Bundle: wholeID}
	rule := demand()
	if _, err := rule.Check([]policy.Attestation{built()}, none); !reason.Is(err, reason.Provenance) {
		t.Errorf("materials: %v", err)
	}
	rule.About, rule.Provenance = policy.AboutImages, nil
	if _, err := rule.Check([]policy.Attestation{built()}, none); !reason.Is(err, reason.Attestation) {
		t.Errorf("about: %v", err)
	}
}

func TestAttestationsOfAPolicy(t *testing.T) {
	const rules = `    attestations:
      - name: provenance
        predicateType: https://slsa.dev/provenance/v1
        threshold: 1
        identities:
          - {trustedRoot: public, issuer: https://token.example.com, subject: https://github.com/acme/app}
        provenance:
          builder: https://github.com/actions/runner/github-hosted
          source: {uri: https://github.com/acme/app, ref: ^refs/tags/.*$}
          materials: images
`
	good := keyless("          - {trustedRoot: public, issuer: https://token.example.com, subject: https://github.com/acme/app}\n", 1) + rules
	p, err := policy.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Applications[0].Attestations[0].About; got != policy.AboutBundle {
		t.Errorf("about %q", got)
	}
	for change, want := range map[[2]string]string{
		{"name: provenance", "name: Provenance"}:                                         "name",
		{"predicateType: https://slsa.dev/provenance/v1", "predicateType: provenance"}:   "predicateType",
		{"predicateType: https://slsa.dev/provenance/v1", "predicateType: https://x.yz"}: "provenance: is of",
		{"        threshold: 1\n        identities:\n          - {trustedRoot: public, issuer: https://token.example.com, subject: https://github.com/acme/app}\n        provenance", "        threshold: 1\n        provenance"}: "keys, identities",
		{"materials: images", "materials: all"}:                                   "materials",
		{"ref: ^refs/tags/.*$", "ref: ^refs/tags/.*"}:                             "source.ref",
		{"builder: https", "Builder: https"}:                                      "Builder",
		{"        provenance:", "        about: everything\n        provenance:"}: "about",
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Fatalf("%q is not in the policy", change[0])
		}
		if _, err := policy.Parse([]byte(text)); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want one that says %s", change[1], err, want)
		}
	}
	if _, err := policy.Parse([]byte(good + strings.TrimPrefix(rules, "    attestations:\n"))); err == nil || !strings.Contains(err.Error(), "used twice") {
		t.Errorf("a name twice: %v", err)
	}
}

func FuzzProvenance(f *testing.F) {
	f.Add(built().Predicate)
	f.Add([]byte(`{"buildDefinition":{"resolvedDependencies":[{"uri":"git+x@y","digest":{"gitCommit":"z"}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := built()
		a.Predicate = data
		_, err := demand().Check([]policy.Attestation{a}, about)
		if err != nil {
			return
		}
		for _, needed := range []string{hosted, buildType, "https://github.com/acme/app", commit, imageA, imageB} {
			var v any
			if json.Unmarshal(data, &v) != nil || !strings.Contains(fmt.Sprint(v), needed) {
				t.Errorf("accepted without %s: %s", needed, data)
			}
		}
	})
}

package publish

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// The two fields that say which document a policy test is, beside
// [policy.APIVersion].
const policyTestKind = "PolicyTest"

// maxCases bounds the cases of one policy test.
const maxCases = 512

// PolicyTest holds what an operator expects of a policy: stored bundles, with
// what devices under it shall say (docs/spec/policy-test.md).
type PolicyTest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	// Policy is the file of the TrustPolicy, beside the test's own.
	Policy string       `yaml:"policy"`
	Cases  []PolicyCase `yaml:"cases"`
}

// PolicyCase is one bundle and what is expected.
type PolicyCase struct {
	Name string `yaml:"name"`
	// Bundle is REPOSITORY@DIGEST. Its evidence is what the registry lists beside
	// it, or only those of Evidence.
	Bundle   string   `yaml:"bundle"`
	Evidence []string `yaml:"evidence"`
	// Deployment is the file of a Margo ApplicationDeployment that orders it, for
	// Device; "" judges the release alone.
	Deployment   string     `yaml:"deployment"`
	Device       CaseDevice `yaml:"device"`
	Endorsements []string   `yaml:"endorsements"`
	Expect       Expected   `yaml:"expect"`
}

// CaseDevice is the device of a case.
type CaseDevice struct {
	ID string `yaml:"id"`
	// Platform is as linux/arm64/v8.
	Platform string `yaml:"platform"`
}

// Expected is the outcome of a case.
type Expected struct {
	// Outcome is "accepted" or the reason of a refusal.
	Outcome string `yaml:"outcome"`
	// Step is the name of the check that refuses, and Says a part of what it says;
	// "" for any.
	Step string `yaml:"step"`
	Says string `yaml:"says"`
}

// accepted is the outcome of a case that is not refused.
const accepted = "accepted"

// CaseResult says how a case went.
type CaseResult struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Outcome and Step are as in [Expected]; Message is what was said.
	Outcome string `json:"outcome"`
	Step    string `json:"step,omitempty"`
	Message string `json:"message,omitempty"`
	// Wrong says what differs from what was expected.
	Wrong string        `json:"wrong,omitempty"`
	Steps []verify.Step `json:"steps,omitempty"`
}

// ParsePolicyTest reads a policy test. An error has reason malformed or too-large
// and names the field.
func ParsePolicyTest(data []byte) (*PolicyTest, error) {
	var t PolicyTest
	if err := strictyaml.Unmarshal(data, &t, strictyaml.Default); err != nil {
		return nil, reason.Wrap(reason.Malformed, fmt.Errorf("policy test: %w", err))
	}
	if err := t.check(); err != nil {
		return nil, reason.Wrap(reason.Malformed, fmt.Errorf("policy test: %w", err))
	}
	return &t, nil
}

func (t *PolicyTest) check() error {
	switch {
	case t.APIVersion != policy.APIVersion || t.Kind != policyTestKind:
		return fmt.Errorf("apiVersion %.100q, kind %.100q: this version reads apiVersion %q, kind %q", t.APIVersion, t.Kind, policy.APIVersion, policyTestKind)
	case t.Policy == "":
		return fmt.Errorf("policy: is missing: the file of the policy, beside this one")
	case len(t.Cases) == 0 || len(t.Cases) > maxCases:
		return fmt.Errorf("cases: %d, from 1 to %d are read", len(t.Cases), maxCases)
	}
	names := map[string]bool{}
	for n, c := range t.Cases {
		if err := c.check(); err != nil {
			return fmt.Errorf("cases[%d].%w", n, err)
		}
		if names[c.Name] {
			return fmt.Errorf("cases[%d].name: %q is used twice", n, c.Name)
		}
		names[c.Name] = true
	}
	return nil
}

var caseName = lazyregexp.New(`^[ -~]{1,200}$`)

func (c PolicyCase) check() error {
	_, d, at := strings.Cut(c.Bundle, "@")
	_, err := oci.ParseDigest(d)
	known := c.Expect.Outcome == accepted || reason.Code(c.Expect.Outcome).Valid()
	switch {
	case !caseName.MatchString(c.Name):
		return fmt.Errorf("name: %.100q is not 1 to 200 printable letters", c.Name)
	case !at || err != nil:
		return fmt.Errorf("bundle: %.300q is not REPOSITORY@sha256:DIGEST", c.Bundle)
	case !known:
		return fmt.Errorf("expect.outcome: %.100q is neither %q nor the reason of a refusal", c.Expect.Outcome, accepted)
	case c.Expect.Outcome == accepted && c.Expect != (Expected{Outcome: accepted}):
		return fmt.Errorf("expect: step and says are of a refusal, and %q is expected", accepted)
	case (c.Deployment == "") != (c.Device == CaseDevice{}):
		return fmt.Errorf("device: id and platform belong to a deployment, and a deployment to them")
	case c.Deployment == "" && len(c.Endorsements) > 0:
		return fmt.Errorf("endorsements: are listed by an order: name a deployment")
	}
	return nil
}

// TestPolicy runs the policy test in a file. Paths in it are relative to it. The
// error is for what cannot be run; a case that does not go as expected is in the
// results.
func TestPolicy(ctx context.Context, client *oci.Client, file string) ([]CaseResult, error) {
	data, err := durable.ReadFile(file, bundle.MaxDocumentBytes)
	if err != nil {
		return nil, fmt.Errorf("read policy test: %w", err)
	}
	t, err := ParsePolicyTest(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	dir := filepath.Dir(file)
	draft, err := readDraft(ctx, filepath.Join(dir, t.Policy))
	if err != nil {
		return nil, err
	}
	var out []CaseResult
	for _, c := range t.Cases {
		trial, err := c.try(ctx, client, dir, draft)
		if err != nil && verify.StepsOf(err) == nil {
			return out, fmt.Errorf("%s: case %q: %w", file, c.Name, err)
		}
		out = append(out, c.result(trial, err))
	}
	return out, nil
}

func (c PolicyCase) try(ctx context.Context, client *oci.Client, dir string, draft *verify.Draft) (*verify.Trial, error) {
	name, d, _ := strings.Cut(c.Bundle, "@")
	repo, err := client.Repository(name)
	if err != nil {
		return nil, err
	}
	desc, _, err := repo.Manifest(ctx, digest.Digest(d), bundle.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	in := verify.TrialInput{Bundle: desc}
	if in.Evidence, err = c.evidence(ctx, repo, desc); err != nil {
		return nil, err
	}
	if c.Deployment != "" {
		if err := c.order(&in, dir, desc); err != nil {
			return nil, err
		}
	}
	return draft.Try(ctx, in, gather.Remote{Repository: repo})
}

// evidence is what lies beside a bundle, or what the case names of it.
func (c PolicyCase) evidence(ctx context.Context, repo *oci.Repository, desc ocispec.Descriptor) ([]channel.EvidenceRef, error) {
	var out []channel.EvidenceRef
	if c.Evidence == nil {
		list, err := repo.Referrers(ctx, desc, bundle.MediaTypeEvidence)
		for _, e := range list {
			out = append(out, channel.EvidenceRef{Digest: e.Digest, Size: e.Size})
		}
		return out, err
	}
	for _, text := range c.Evidence {
		d, err := oci.ParseDigest(text)
		if err != nil {
			return nil, err
		}
		e, _, err := repo.Manifest(ctx, d, bundle.MaxManifestBytes)
		if err != nil {
			return nil, err
		}
		out = append(out, channel.EvidenceRef{Digest: d, Size: e.Size})
	}
	return out, nil
}

// order adds the deployment, with the endorsements of the case in the place of
// those that it lists.
func (c PolicyCase) order(in *verify.TrialInput, dir string, desc ocispec.Descriptor) error {
	platform, err := pack.ParsePlatform(c.Device.Platform)
	if err != nil {
		return fmt.Errorf("device.platform: %w", err)
	}
	in.Device = verify.Device{ID: c.Device.ID, Platform: platform}
	if in.Deployment, err = durable.ReadFile(filepath.Join(dir, c.Deployment), bundle.MaxDocumentBytes); err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	docs := memoryDocuments{held: map[digest.Digest][]byte{}}
	in.Endorsements, in.Endorsed = docs, []margo.EvidenceRef{}
	for _, file := range c.Endorsements {
		a, err := ReadEndorsement(filepath.Join(dir, file))
		if err != nil {
			return fmt.Errorf("endorsements: %w", err)
		}
		ref, err := docs.hold(a, desc)
		if err != nil {
			return fmt.Errorf("endorsements: %s: %w", file, err)
		}
		in.Endorsed = append(in.Endorsed, margo.EvidenceRef{Digest: string(ref.Digest), Size: ref.Size})
	}
	return nil
}

func (c PolicyCase) result(trial *verify.Trial, err error) CaseResult {
	out := CaseResult{Name: c.Name, Outcome: accepted}
	if err != nil {
		steps := verify.StepsOf(err)
		out.Outcome, out.Step, out.Message, out.Steps = string(reason.Of(err)), steps[len(steps)-1].Name, err.Error(), steps
	} else {
		out.Steps = trial.Steps
	}
	want := c.Expect
	switch {
	case out.Outcome != want.Outcome:
		out.Wrong = fmt.Sprintf("%s is expected", want.Outcome)
	case want.Step != "" && out.Step != want.Step:
		out.Wrong = fmt.Sprintf("the step %s is expected to refuse", want.Step)
	case !strings.Contains(out.Message, want.Says):
		out.Wrong = fmt.Sprintf("%q is expected to be said", want.Says)
	}
	out.OK = out.Wrong == ""
	return out
}

package provenance_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/provenance"
	"github.com/consign-dev/consign/policy"
)

const commit = "8843d7f92416211de9ebb963ff4ce28125932878"

var github = map[string]string{
	"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/app", "GITHUB_REF": "refs/tags/v1@2",
	"GITHUB_SHA": commit, "GITHUB_WORKFLOW_REF": "acme/app/.github/workflows/release.yml@refs/tags/v1@2",
	"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_EVENT_NAME": "push", "RUNNER_ENVIRONMENT": "github-hosted",
}

var gitlab = map[string]string{
	"GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.com", "CI_PROJECT_PATH": "acme/group/app", "CI_COMMIT_SHA": commit, "CI_COMMIT_BRANCH": "main",
	"CI_CONFIG_PATH": ".gitlab-ci.yml", "CI_JOB_URL": "https://gitlab.com/acme/group/app/-/jobs/302", "CI_PIPELINE_SOURCE": "push", "CI_RUNNER_ID": "1",
}

// with is an environment in which some variables are other ones.
func with(env map[string]string, changes ...string) func(string) string {
	env = maps.Clone(env)
	for i := 0; i+1 < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	return func(name string) string { return env[name] }
}

// accepts decides by a rule that asks for everything that a run says.
func accepts(t *testing.T, run provenance.Run, claims policy.Claims) error {
	t.Helper()
	image := digest.FromString("image")
	predicate, err := run.Of(&bundle.Bundle{Images: []bundle.Image{{Reference: "docker.io/library/nginx:1", Manifest: ocispec.Descriptor{Digest: image}}}})
	if err != nil {
		t.Fatal(err)
	}
	who := policy.Identity{TrustedRoot: "public", Issuer: "https://token.example.com", Subject: "https://github.com/acme/app"}
	rule := policy.AttestationRule{
		Name: "provenance", PredicateType: policy.SLSAProvenance, Threshold: 1, Identities: []policy.Identity{who},
		Provenance: &policy.ProvenanceRule{
			Builder: run.Pipeline, BuildType: provenance.BuildType, Materials: policy.AboutImages, Source: policy.SourceRule{URI: run.Repository, Ref: run.Ref},
		},
	}
	about := policy.Subjects{Bundle: digest.FromString("bundle").Encoded(), Images: []string{image.Encoded()}}
	_, err = rule.Check([]policy.Attestation{{
		Signers:       []policy.Signer{{TrustedRoot: "public", Issuer: who.Issuer, Subject: who.Subject, Claims: claims}},
		PredicateType: policy.SLSAProvenance, Subjects: []string{about.Bundle}, Predicate: predicate,
	}}, about)
	return err
}

// TestRunIsWhatItsCertificateSays: what is taken from the environment is spelt as
// Fulcio spells it for the same job.
func TestRunIsWhatItsCertificateSays(t *testing.T) {
	for name, c := range map[string]struct {
		env    func(string) string
		claims policy.Claims
	}{
		"GitHub": {with(github), policy.Claims{
			SourceRepositoryURI: "https://github.com/acme/app", SourceRepositoryRef: "refs/tags/v1@2", SourceRepositoryDigest: commit,
			BuildConfigURI: "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1@2", BuildTrigger: "push",
			RunInvocationURI: "https://github.com/acme/app/actions/runs/7/attempts/2", RunnerEnvironment: "github-hosted",
		}},
		"GitLab, a branch": {with(gitlab), policy.Claims{
			SourceRepositoryURI: "https://gitlab.com/acme/group/app", SourceRepositoryRef: "refs/heads/main", SourceRepositoryDigest: commit,
			BuildConfigURI: "https://gitlab.com/acme/group/app//.gitlab-ci.yml@refs/heads/main", BuildTrigger: "push",
			RunInvocationURI: "https://gitlab.com/acme/group/app/-/jobs/302", RunnerEnvironment: "1",
		}},
		"GitLab, a tag": {with(gitlab, "CI_COMMIT_BRANCH", "", "CI_COMMIT_TAG", "v1.0.0"), policy.Claims{
			SourceRepositoryURI: "https://gitlab.com/acme/group/app", SourceRepositoryRef: "refs/tags/v1.0.0", SourceRepositoryDigest: commit,
			BuildConfigURI: "https://gitlab.com/acme/group/app//.gitlab-ci.yml@refs/tags/v1.0.0", BuildTrigger: "push",
			RunInvocationURI: "https://gitlab.com/acme/group/app/-/jobs/302", RunnerEnvironment: "1",
		}},
	} {
		run, err := provenance.FromEnv(c.env)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if run.Pipeline != c.claims.BuildConfigURI || run.Invocation != c.claims.RunInvocationURI || run.Trigger != c.claims.BuildTrigger || run.Runner != c.claims.RunnerEnvironment {
			t.Errorf("%s: %+v", name, run)
		}
		if err := accepts(t, run, c.claims); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.claims.SourceRepositoryDigest = strings.Repeat("a", 40)
		if accepts(t, run, c.claims) == nil {
			t.Errorf("%s: the certificate of another commit does", name)
		}
	}
}

func TestRunThatCannotBeTold(t *testing.T) {
	for want, env := range map[string]func(string) string{
		"neither GITHUB_ACTIONS nor GITLAB_CI":         with(nil),
		"which of them":                                with(github, "GITLAB_CI", "true"),
		"not set: GITHUB_SHA":                          with(github, "GITHUB_SHA", ""),
		"not set: CI_PROJECT_PATH, CI_PIPELINE_SOURCE": with(gitlab, "CI_PROJECT_PATH", "", "CI_PIPELINE_SOURCE", ""),
		"neither CI_COMMIT_TAG nor CI_COMMIT_BRANCH":   with(gitlab, "CI_COMMIT_BRANCH", ""),
		"in another place":                             with(gitlab, "CI_CONFIG_PATH", "ci.yml@acme/pipelines"),
		"is no full ref":                               with(github, "GITHUB_REF", "main"),
		"is no hash":                                   with(github, "GITHUB_SHA", "HEAD"),
		"is no address":                                with(github, "GITHUB_SERVER_URL", "https://me@github.com"),
	} {
		if run, err := provenance.FromEnv(env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, %v; want %q", run, err, want)
		}
	}
}

// TestPredicate is the form that docs/spec/publish-v1.md describes.
func TestPredicate(t *testing.T) {
	run, err := provenance.FromEnv(with(github))
	if err != nil {
		t.Fatal(err)
	}
	got, err := run.Of(&bundle.Bundle{Images: []bundle.Image{{Reference: "docker.io/library/nginx:1", Manifest: ocispec.Descriptor{Digest: digest.FromString("image")}}}})
	if err != nil {
		t.Fatal(err)
	}
	const hash = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
	var v, want any
	if err := json.Unmarshal([]byte(`{
  "buildDefinition": {
    "buildType": "https://consign.dev/publish/v1",
    "externalParameters": {
      "pipeline": "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1@2",
      "repository": "https://github.com/acme/app", "ref": "refs/tags/v1@2", "trigger": "push"
    },
    "internalParameters": {"runner": "github-hosted"},
    "resolvedDependencies": [
      {"uri": "git+https://github.com/acme/app@refs/tags/v1@2", "digest": {"gitCommit": "`+commit+`"}},
      {"uri": "pkg:oci/nginx@sha256:`+hash+`?repository_url=docker.io%2Flibrary%2Fnginx&tag=1", "digest": {"sha256": "`+hash+`"}}
    ]
  },
  "runDetails": {
    "builder": {"id": "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1@2"},
    "metadata": {"invocationId": "https://github.com/acme/app/actions/runs/7/attempts/2"}
  }
}`), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &v); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(v)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
}

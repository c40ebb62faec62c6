// Package provenance says where a bundle comes from: a SLSA v1 provenance, made of
// what a CI system tells the job that runs the publisher. docs/spec/publish-v1.md
// describes it field by field.
//
// The job is its own witness. What a certificate names, too, a policy compares with
// it; the rest is as good as the job.
package provenance

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/sbom"
)

// BuildType is buildDefinition.buildType of what is made here.
const BuildType = "https://consign.dev/publish/v1"

// Run is the job that publishes.
type Run struct {
	// Repository is the source's address, Ref its full ref ("refs/tags/v1.0.0") and
	// Commit the hash that was checked out, in hex.
	Repository, Ref, Commit string
	// Pipeline is the URI of the workflow or pipeline file at its ref.
	Pipeline string
	// Trigger is the event that began the run, in the words of the CI system.
	Trigger string
	// Runner is on what it runs, in the words of the CI system.
	Runner string
	// Invocation is the address of this run.
	Invocation string
}

// dependency is an in-toto ResourceDescriptor.
type dependency struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	BuildDefinition struct {
		BuildType          string `json:"buildType"`
		ExternalParameters struct {
			Pipeline   string `json:"pipeline"`
			Repository string `json:"repository"`
			Ref        string `json:"ref"`
			Trigger    string `json:"trigger"`
		} `json:"externalParameters"`
		InternalParameters struct {
			Runner string `json:"runner"`
		} `json:"internalParameters"`
		ResolvedDependencies []dependency `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string `json:"invocationId"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

// Of returns the provenance (SLSA v1, Provenance) of a bundle that the run packs.
func (r Run) Of(b *bundle.Bundle) (json.RawMessage, error) {
	var p predicate
	build := &p.BuildDefinition
	build.BuildType = BuildType
	build.ExternalParameters.Pipeline, build.ExternalParameters.Trigger = r.Pipeline, r.Trigger
	build.ExternalParameters.Repository, build.ExternalParameters.Ref = r.Repository, r.Ref
	build.InternalParameters.Runner = r.Runner
	build.ResolvedDependencies = []dependency{{"git+" + r.Repository + "@" + r.Ref, map[string]string{"gitCommit": r.Commit}}}
	for _, i := range b.Images {
		build.ResolvedDependencies = append(build.ResolvedDependencies, dependency{sbom.Purl(i), map[string]string{"sha256": i.Manifest.Digest.Encoded()}})
	}
	p.RunDetails.Builder.ID = r.Pipeline
	p.RunDetails.Metadata.InvocationID = r.Invocation
	return json.Marshal(p)
}

// FromEnv reads the run from the variables that GitHub Actions or GitLab CI sets.
func FromEnv(env func(string) string) (Run, error) {
	github, gitlab := env("GITHUB_ACTIONS") == "true", env("GITLAB_CI") == "true"
	var r Run
	var err error
	switch {
	case github && gitlab:
		err = errors.New("GITHUB_ACTIONS and GITLAB_CI are both \"true\": in which of them is this?")
	case github:
		r, err = fromGitHub(env)
	case gitlab:
		r, err = fromGitLab(env)
	default:
		err = errors.New("neither GITHUB_ACTIONS nor GITLAB_CI is \"true\": only their jobs know where they come from; name a file")
	}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Run{}, fmt.Errorf("provenance of this job: %w", err)
	}
	return r, nil
}

// variables reads some, all of which must be set.
func variables(env func(string) string, names ...string) (map[string]string, error) {
	out := map[string]string{}
	var missing []string
	for _, name := range names {
		if out[name] = env(name); out[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("not set: %s", strings.Join(missing, ", "))
	}
	return out, nil
}

var (
	commitHash = lazyregexp.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	// A repository's address has no user and no "@", which begins the ref.
	repository = lazyregexp.New(`^https?://[^@\s]+/[^@\s]+$`)
	fullRef    = lazyregexp.New(`^refs/\S+$`)
)

func (r Run) check() error {
	switch {
	case !repository.MatchString(r.Repository):
		return fmt.Errorf("repository %.200q is no address", r.Repository)
	case !fullRef.MatchString(r.Ref):
		return fmt.Errorf("ref %.200q is no full ref, such as refs/heads/main", r.Ref)
	case !commitHash.MatchString(r.Commit):
		return fmt.Errorf("commit %.200q is no hash", r.Commit)
	}
	return nil
}

package sigstoretest

import (
	"maps"
	"strings"
)

// Issuer is one of the issuers of tokens, by the kind of identity it vouches for.
type Issuer string

const (
	// GitHub vouches for jobs, with the claims of GitHub Actions: a
	// certificate names repository, ref, workflow, trigger and runner.
	GitHub Issuer = "github"
	// GitLab vouches for jobs, with the claims of GitLab's pipelines.
	GitLab Issuer = "gitlab"
	// People vouches for e-mail addresses.
	People Issuer = "people"
)

// Forge is the base of the URLs in certificates of GitHub and GitLab jobs. It
// stands for the forge that people see, which is not where its issuer answers.
const (
	Forge     = "https://" + forgeHost
	forgeHost = "git.example.test"
)

// Claims are those of a token, as JSON. The issuer adds iss, aud ("sigstore"),
// iat, nbf and exp where they are not given.
type Claims map[string]any

// With returns the claims with some set to other values; a nil value takes one
// away.
func (c Claims) With(changes Claims) Claims {
	all := maps.Clone(c)
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// revision is the commit of every job.
const revision = "8843d7f92416211de9ebb963ff4ce28125932878"

// GitHubClaims are those of a job of .github/workflows/release.yml in a
// repository ("acme/hello"), run by a push to ref ("refs/heads/main") on a hosted
// runner. Its certificate names Forge/acme/hello/.github/workflows/release.yml@ref.
func GitHubClaims(repository, ref string) Claims {
	workflow := repository + "/.github/workflows/release.yml@" + ref
	return Claims{
		"sub":                   "repo:" + repository + ":ref:" + ref,
		"actor":                 "octo",
		"event_name":            "push",
		"job_workflow_ref":      workflow,
		"job_workflow_sha":      revision,
		"ref":                   ref,
		"ref_type":              refType(ref),
		"repository":            repository,
		"repository_id":         "74",
		"repository_owner":      owner(repository),
		"repository_owner_id":   "65",
		"repository_visibility": "public",
		"run_attempt":           "1",
		"run_id":                "1792",
		"runner_environment":    "github-hosted",
		"sha":                   revision,
		"workflow":              "release",
		"workflow_ref":          workflow,
		"workflow_sha":          revision,
	}
}

// GitLabClaims are those of a job of .gitlab-ci.yml in a project, run by a push
// to a branch ("main"). Its certificate names
// Forge/acme/hello//.gitlab-ci.yml@refs/heads/main.
func GitLabClaims(project, branch string) Claims {
	return Claims{
		"sub":                "project_path:" + project + ":ref_type:branch:ref:" + branch,
		"ci_config_ref_uri":  forgeHost + "/" + project + "//.gitlab-ci.yml@refs/heads/" + branch,
		"ci_config_sha":      revision,
		"job_id":             "302",
		"namespace_id":       "65",
		"namespace_path":     owner(project),
		"pipeline_id":        "31",
		"pipeline_source":    "push",
		"project_id":         "74",
		"project_path":       project,
		"project_visibility": "public",
		"ref":                branch,
		"ref_type":           "branch",
		"runner_environment": "gitlab-hosted",
		"runner_id":          1,
		"sha":                revision,
	}
}

// PersonClaims are those of somebody whose address was checked. The certificate
// names the address.
func PersonClaims(email string) Claims {
	return Claims{"sub": email, "email": email, "email_verified": true}
}

// owner is "acme" of "acme/hello".
func owner(repository string) string {
	owner, _, _ := strings.Cut(repository, "/")
	return owner
}

func refType(ref string) string {
	if strings.HasPrefix(ref, "refs/tags/") {
		return "tag"
	}
	return "branch"
}

// GitHubEnvironment is what a job with these claims, as [GitHubClaims] gives them,
// finds in its environment, as NAME=VALUE, but for its tokens.
func GitHubEnvironment(c Claims) []string {
	text := func(name string) string { s, _ := c[name].(string); return s }
	return []string{
		"GITHUB_ACTIONS=true",
		"GITHUB_SERVER_URL=" + Forge,
		"GITHUB_REPOSITORY=" + text("repository"),
		"GITHUB_REPOSITORY_ID=" + text("repository_id"),
		"GITHUB_REPOSITORY_OWNER_ID=" + text("repository_owner_id"),
		"GITHUB_REF=" + text("ref"),
		"GITHUB_SHA=" + text("sha"),
		"GITHUB_WORKFLOW_REF=" + text("workflow_ref"),
		"GITHUB_WORKFLOW_SHA=" + text("workflow_sha"),
		"GITHUB_EVENT_NAME=" + text("event_name"),
		"GITHUB_RUN_ID=" + text("run_id"),
		"GITHUB_RUN_ATTEMPT=" + text("run_attempt"),
		"RUNNER_ENVIRONMENT=" + text("runner_environment"),
	}
}

package provenance

import (
	"errors"
	"fmt"
	"strings"
)

// fromGitHub: the values are those that Fulcio takes from the job's token.
func fromGitHub(env func(string) string) (Run, error) {
	v, err := variables(env, "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_REF", "GITHUB_SHA", "GITHUB_WORKFLOW_REF",
		"GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_EVENT_NAME", "RUNNER_ENVIRONMENT")
	if err != nil {
		return Run{}, err
	}
	source := v["GITHUB_SERVER_URL"] + "/" + v["GITHUB_REPOSITORY"]
	return Run{
		Repository: source, Ref: v["GITHUB_REF"], Commit: v["GITHUB_SHA"],
		Pipeline: v["GITHUB_SERVER_URL"] + "/" + v["GITHUB_WORKFLOW_REF"],
		Trigger:  v["GITHUB_EVENT_NAME"], Runner: v["RUNNER_ENVIRONMENT"],
		Invocation: fmt.Sprintf("%s/actions/runs/%s/attempts/%s", source, v["GITHUB_RUN_ID"], v["GITHUB_RUN_ATTEMPT"]),
	}, nil
}

func fromGitLab(env func(string) string) (Run, error) {
	v, err := variables(env, "CI_SERVER_URL", "CI_PROJECT_PATH", "CI_COMMIT_SHA", "CI_CONFIG_PATH", "CI_JOB_URL", "CI_PIPELINE_SOURCE", "CI_RUNNER_ID")
	if err != nil {
		return Run{}, err
	}
	config := v["CI_CONFIG_PATH"]
	if strings.Contains(config, "@") || strings.Contains(config, "://") {
		return Run{}, fmt.Errorf("CI_CONFIG_PATH %.200q: the pipeline's file is in another place than its source", config)
	}
	ref := "refs/tags/" + env("CI_COMMIT_TAG")
	if env("CI_COMMIT_TAG") == "" {
		ref = "refs/heads/" + env("CI_COMMIT_BRANCH")
	}
	if ref == "refs/heads/" {
		return Run{}, errors.New("neither CI_COMMIT_TAG nor CI_COMMIT_BRANCH is set, as in a pipeline of a merge request")
	}
	source := v["CI_SERVER_URL"] + "/" + v["CI_PROJECT_PATH"]
	return Run{
		Repository: source, Ref: ref, Commit: v["CI_COMMIT_SHA"],
		Pipeline: source + "//" + config + "@" + ref,
		Trigger:  v["CI_PIPELINE_SOURCE"], Runner: v["CI_RUNNER_ID"], Invocation: v["CI_JOB_URL"],
	}, nil
}

package main

import (
	"strings"
	"testing"
)

// The suite's four names, and more of the kind. Each is one segment of a URL
// in the request and a file of the client's directory, nothing else.
func TestUnusualRoleName(t *testing.T) {
	for role, quoted := range map[string]string{
		"?":                "%3F",
		"#":                "%23",
		"/delegatedrole":   "%2Fdelegatedrole",
		"../delegatedrole": "..%2Fdelegatedrole",
		"..":               "..",
		"%2e%2e%2f":        "%252e%252e%252f",
		`C:\x`:             "C%3A%5Cx",
		"a\x00b":           "a%00b",
		"1.root":           "1.root",
		"roots/1.root":     "roots%2F1.root",
	} {
		t.Run(quoted, func(t *testing.T) {
			repo, c := begin(t)
			repo.delegate(delegation{from: "targets", to: role})
			repo.publish(role, "targets", "snapshot", "timestamp")
			c.mustDownload(1, "nonexistent target")
			if want := "1." + quoted + ".json"; repo.last() != want {
				t.Errorf("asked for %s, want %s", repo.last(), want)
			}
			c.trusts("root 1, snapshot 2, targets 2, timestamp 2 +1")
			c.contained()
		})
	}
}

// Not of the suite: names of targets are no paths either, on disk or in a URL.
func TestUnusualTargetName(t *testing.T) {
	for name, want := range map[string]string{
		"../up": "", "/abs": "", "a//b": "", "a/./b": "",
		"a b?c#d": "a%20b%3Fc%23d",
		`C:\x`:    "C:%5Cx",
		"%2e%2e":  "%252e%252e",
	} {
		t.Run(strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
			repo, c := begin(t)
			repo.addArtifact("targets", name, "contents")
			repo.publish("targets", "snapshot", "timestamp")
			if want == "" {
				c.mustDownload(1, name)
				c.has()
			} else {
				c.mustDownload(0, name)
				c.has("contents")
				if got := repo.fetched(); len(got) != 1 || !strings.HasSuffix(got[0], "."+want) {
					t.Errorf("asked for %q, want HASH.%s", got, want)
				}
			}
			c.contained()
		})
	}
}

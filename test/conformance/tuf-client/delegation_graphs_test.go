package main

import (
	"slices"
	"strings"
	"testing"
)

// graph is a repository as its delegations, "from>to", each with "!" behind it
// when it is terminating and with its paths after a colon when they are not "*".
func (r *simulator) graph(edges string) {
	r.t.Helper()
	var roles []string
	for edge := range strings.FieldsSeq(edges) {
		edge, paths, _ := strings.Cut(edge, ":")
		edge, terminating := strings.CutSuffix(edge, "!")
		from, to, _ := strings.Cut(edge, ">")
		d := delegation{from: from, to: to, terminating: terminating}
		if paths != "" {
			d.paths = strings.Split(paths, ",")
		}
		r.delegate(d)
		if !slices.Contains(roles, to) {
			roles = append(roles, to)
		}
	}
	r.publishGraph(roles...)
}

func (r *simulator) publishGraph(roles ...string) {
	r.t.Helper()
	r.publish(append(roles, "targets", "snapshot", "timestamp")...)
}

// visited is the order in which delegated roles were asked for.
func (r *simulator) visited() string {
	r.t.Helper()
	names := strings.Fields(r.asked())
	if len(names) < 4 {
		r.t.Fatalf("asked for %q", names)
	}
	var out []string
	for _, name := range names[4:] {
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(name, "1."), ".json"))
	}
	return strings.Join(out, " ")
}

func TestGraphTraversal(t *testing.T) {
	for name, c := range map[string]struct{ edges, want string }{
		"basic-delegation":                                          {"targets>A", "A"},
		"single-level-delegations":                                  {"targets>A targets>B", "A B"},
		"two-level-delegations":                                     {"targets>A targets>B B>C", "A B C"},
		"two-level-test-DFS-order-of-traversal":                     {"targets>A targets>B A>C A>D", "A C D B"},
		"three-level-delegation-test-DFS-order-of-traversal":        {"targets>A targets>B A>C C>D", "A C D B"},
		"two-level-terminating-ignores-all-but-roles-descendants":   {"targets>A targets>B A>C! A>D", "A C"},
		"three-level-terminating-ignores-all-but-roles-descendants": {"targets>A targets>B A>C! C>D", "A C D"},
		"two-level-ignores-all-branches-not-matching-paths":         {"targets>A:*.py targets>B A>C", "B"},
		"three-level-ignores-all-branches-not-matching-paths":       {"targets>A targets>B A>C:*.py C>D", "A B"},
		"cyclic-graph":                                    {"targets>A targets>B B>C C>D D>B", "A B C D"},
		"two-roles-delegating-to-a-third":                 {"targets>A targets>B B>C A>C", "A C B"},
		"two-roles-delegating-to-a-third-different-paths": {"targets>A targets>B B>C A>C:*.py", "A B C"},
	} {
		t.Run(name, func(t *testing.T) {
			repo, client := begin(t)
			repo.graph(c.edges)
			client.mustDownload(1, "missingpath")
			if got := repo.visited(); got != c.want {
				t.Errorf("visited %q, want %q", got, c.want)
			}
		})
	}
}

func TestTargetfileSearch(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		found  bool
		want   string
	}{
		"no delegations":                                        {"targetfile", true, ""},
		"targetpath matches wildcard":                           {"README.md", true, "A"},
		"targetpath with separators x":                          {"releases/x/x_v1", true, "B C"},
		"targetpath with separators y":                          {"releases/y/y_v1.zip", true, "B D"},
		"targetpath is not delegated by all roles in the chain": {"releases/z/z_v1.zip", false, "B"},
		"wildcard stops at a separator":                         {"docs/README.md", false, ""},
		"case counts":                                           {"readme.MD", false, ""},
		"a question mark is one character":                      {"v1/notes", true, "E"},
		"and no separator":                                      {"v1/a/notes", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo, client := begin(t)
			repo.addArtifact("targets", "targetfile", "targetfile")
			repo.delegate(delegation{from: "targets", to: "A", paths: []string{"*.doc", "*.md"}})
			repo.delegate(delegation{from: "targets", to: "B", paths: []string{"releases/*/*"}})
			repo.delegate(delegation{from: "targets", to: "E", paths: []string{"v?/notes"}})
			repo.delegate(delegation{from: "B", to: "C", paths: []string{"releases/x/*"}})
			repo.delegate(delegation{from: "B", to: "D", paths: []string{"releases/y/*.zip"}})
			repo.addArtifact("A", "README.md", "README.md")
			repo.addArtifact("A", "docs/README.md", "docs/README.md")
			repo.addArtifact("A", "readme.MD", "readme.MD")
			repo.addArtifact("C", "releases/x/x_v1", "releases/x/x_v1")
			repo.addArtifact("D", "releases/y/y_v1.zip", "releases/y/y_v1.zip")
			repo.addArtifact("D", "releases/z/z_v1.zip", "releases/z/z_v1.zip")
			repo.addArtifact("E", "v1/notes", "v1/notes")
			repo.addArtifact("E", "v1/a/notes", "v1/a/notes")
			repo.publishGraph("A", "B", "C", "D", "E")
			if c.found {
				client.mustDownload(0, c.target)
				client.has(c.target)
			} else {
				client.mustDownload(1, c.target)
				client.has()
			}
			if got := repo.visited(); got != c.want {
				t.Errorf("visited %q, want %q", got, c.want)
			}
		})
	}
}

// A role that two others delegate to, with one key each. Its document is
// signed with the key that A knows. What A vouches for says nothing about B:
// not within one process, not from the file that an earlier one has stored, and
// not when the wrong delegator comes first.
func TestCachedRoleIsVerifiedAgainstCurrentDelegator(t *testing.T) {
	shared := func(t *testing.T) (*simulator, *client) {
		repo, c := begin(t)
		repo.delegate(delegation{from: "targets", to: "A", paths: []string{"a*"}})
		repo.delegate(delegation{from: "targets", to: "B", paths: []string{"b*"}})
		known := repo.delegate(delegation{from: "A", to: "shared"})
		repo.delegate(delegation{from: "B", to: "shared"})
		repo.signers["shared"] = []*signer{known}
		repo.addArtifact("shared", "apple", "an apple")
		repo.addArtifact("shared", "banana", "a banana")
		repo.publishGraph("shared", "A", "B")
		return repo, c
	}
	t.Run("one process", func(t *testing.T) {
		_, c := shared(t)
		c.mustDownload(1, "apple", "banana")
		c.has("an apple")
	})
	t.Run("from the store", func(t *testing.T) {
		_, c := shared(t)
		c.mustDownload(0, "apple")
		c.mustDownload(1, "banana")
		c.mustDownload(0, "apple")
		c.has("an apple")
	})
	t.Run("the wrong one first", func(t *testing.T) {
		_, c := shared(t)
		c.mustDownload(1, "banana", "apple")
		c.has()
		c.mustDownload(0, "apple")
	})
	t.Run("signed for both", func(t *testing.T) {
		repo, c := shared(t)
		s := repo.delegate(delegation{from: "B", to: "again"})
		repo.targets["B"].Signed.Delegations.Roles[0].KeyIDs = []string{s.id(t)}
		repo.signers["shared"] = append(repo.signers["shared"], s)
		repo.publishGraph("again", "shared", "B")
		c.mustDownload(0, "apple", "banana")
		c.has("an apple", "a banana")
	})
}

// Without its line in the snapshot nothing bounds the version of a role.
func TestDelegationNotInSnapshot(t *testing.T) {
	repo, c := begin(t)
	repo.delegate(delegation{from: "targets", to: "A"})
	repo.addArtifact("A", "apple", "an apple")
	repo.publish("A", "targets")
	delete(repo.snapshot.Signed.Meta, "A.json")
	repo.publish("snapshot", "timestamp")
	c.mustDownload(1, "apple")
	c.has()
	if got := repo.visited(); got != "" {
		t.Errorf("visited %q", got)
	}
	c.mustRefresh(0) // which needs no delegated role
	c.trusts("root 1, snapshot 2, targets 2, timestamp 2")
}

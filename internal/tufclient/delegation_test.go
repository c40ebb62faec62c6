package tufclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// Attack T13: the order in which roles are asked, as the requests show it.
func TestAttackT13OrderOfTraversal(t *testing.T) {
	type edge struct {
		from, to    string
		terminating bool
		path        string
	}
	any := func(from, to string) edge { return edge{from, to, false, "*"} }
	for name, c := range map[string]struct {
		edges []edge
		want  string
	}{
		"one level":                {[]edge{any("targets", "a"), any("targets", "b")}, "a b"},
		"depth first":              {[]edge{any("targets", "a"), any("targets", "b"), any("a", "c"), any("a", "d")}, "a c d b"},
		"terminating":              {[]edge{any("targets", "a"), any("targets", "b"), {"a", "c", true, "*"}, any("a", "d")}, "a c"},
		"terminating, own subtree": {[]edge{any("targets", "a"), any("targets", "b"), {"a", "c", true, "*"}, any("c", "d")}, "a c d"},
		"terminating, other path":  {[]edge{any("targets", "a"), {"a", "c", true, "*.py"}, any("a", "d"), any("targets", "b")}, "a d b"},
		"other path":               {[]edge{{"targets", "a", false, "*.py"}, any("targets", "b"), any("a", "c")}, "b"},
		"pattern of two segments":  {[]edge{{"targets", "a", false, "*/*"}, any("targets", "b")}, "b"},
		"cycle":                    {[]edge{any("targets", "a"), any("targets", "b"), any("b", "c"), any("c", "d"), any("d", "b")}, "a b c d"},
		"itself":                   {[]edge{any("targets", "a"), any("a", "a")}, "a"},
		"two ways":                 {[]edge{any("targets", "a"), any("targets", "b"), any("b", "c"), any("a", "c")}, "a c b"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, e := range c.edges {
				w.delegate(e.from, e.to, e.terminating, e.path)
			}
			w.publish()
			d := w.device()
			m := d.mustRefresh(day0, "missing")
			var asked []string
			for _, r := range w.requests[4:] {
				asked = append(asked, strings.TrimSuffix(strings.TrimPrefix(r, "1."), ".json"))
			}
			if got := strings.Join(asked, " "); got != c.want {
				t.Errorf("asked %q, want %q", got, c.want)
			}
			if _, err := m.Target("missing"); !errors.Is(err, tufclient.ErrNoTarget) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAttackT13FirstInTheOrderOfTrustWins(t *testing.T) {
	w := newWorld(t)
	w.delegate("targets", "first", false, "devices/*")
	w.delegate("targets", "second", false, "devices/*")
	w.setTarget("first", order, "first")
	w.setTarget("second", order, "second")
	w.setTarget("second", "policy", "a policy that second may not set")
	w.setTarget("first", "devices/a/b", "outside its paths")
	w.publish()
	m, err := w.device().RefreshAll(context.Background(), w, day0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, target := range m.All() {
		got = append(got, target.Role+":"+target.Name)
	}
	if want := []string{"first:" + order, "targets:policy"}; !slices.Equal(got, want) {
		t.Errorf("targets %v, want %v", got, want)
	}
	if target, err := m.Target("policy"); err != nil || target.CheckBytes([]byte("the policy")) != nil {
		t.Errorf("policy %+v, %v", target, err)
	}
	if _, err := m.Target("devices/a/b"); !errors.Is(err, tufclient.ErrNoTarget) {
		t.Errorf("a target outside the delegated paths: %v", err)
	}
}

// Attack T13: a role that two others delegate to, each with its own key. The
// document in the store was verified for the first and does not count for the
// second.
func TestAttackT13CachedRoleIsVerifiedAgainstTheDelegatorInUse(t *testing.T) {
	w := newWorld(t)
	honest := newKey()
	w.delegate("targets", "a", false, "a*")
	w.delegate("targets", "b", false, "b*")
	w.delegateTo("a", "shared", honest, false, "*")
	w.delegateTo("b", "shared", newKey(), false, "*")
	w.keys["shared"] = w.keys["shared"][:1] // signed with the key that a knows
	w.setTarget("shared", "apple", "apple")
	w.setTarget("shared", "banana", "banana")
	w.publish()
	d := w.device()
	m := d.mustRefresh(day0, "apple")
	if _, err := m.Target("apple"); err != nil {
		t.Error(err)
	}
	d.mustRefuse(reason.UntrustedSigner, day0, "banana")
	d.mustRefuse(reason.UntrustedSigner, day0, "apple", "banana")
	m = d.mustRefresh(day0, "apple", "also missing")
	if _, err := m.Target("banana"); err == nil {
		t.Error("banana was found without its delegator's key")
	}
	all, err := w.device().RefreshAll(context.Background(), w, day0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.Target("banana"); !reason.Is(err, reason.UntrustedSigner) {
		t.Errorf("banana: %v", err)
	}
}

func TestDelegatedRoleOfAnotherKeyIsFetchedAgain(t *testing.T) {
	w := withDeploy(t)
	d := w.device()
	d.mustRefresh(day0, order)
	// The operator gives the deploy role a new key and signs the same again.
	signed := &w.roles["targets"].Signed
	signed.Delegations = nil
	w.keys["deploy"] = nil
	w.delegate("targets", "deploy", true, "devices/*")
	w.bump()
	if m := d.mustRefresh(day0, order); m.Versions()["deploy"] != 2 {
		t.Errorf("versions %v", m.Versions())
	}
}

func TestRoleThatTheSnapshotDoesNotListIsMalformed(t *testing.T) {
	w := withDeploy(t)
	delete(w.snapshot.Signed.Meta, "deploy.json")
	w.publishSnapshot()
	d := w.device()
	d.mustRefuse(reason.Malformed, day0, order)
	d.mustRefresh(day0, "policy") // needs no delegated role
}

func TestATargetThatWasNotAskedForIsAnErrorNotAbsence(t *testing.T) {
	w := withDeploy(t)
	m := w.device().mustRefresh(day0)
	if _, err := m.Target(order); err == nil || errors.Is(err, tufclient.ErrNoTarget) {
		t.Errorf("%v", err)
	}
}

func TestStoredKeepsDelegatedRolesThatARefreshDidNotNeed(t *testing.T) {
	w := withDeploy(t)
	d := w.device()
	d.mustRefresh(day0, order)
	d.mustRefresh(day0)
	m, err := d.Stored(day0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Target(order); err != nil {
		t.Error(err)
	}
	w.bump()
	d.mustRefresh(day0)
	entries, _ := os.ReadDir(filepath.Join(d.dir, "complete"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"2.snapshot.json", "2.targets.json", "timestamp.json"}; !slices.Equal(names, want) {
		t.Errorf("complete holds %v, want %v", names, want)
	}
}

func TestLookupIsBounded(t *testing.T) {
	w := newWorld(t)
	for n := range tufclient.MaxLookupRoles {
		w.delegate("targets", "r"+string(rune('a'+n/26))+string(rune('a'+n%26)), false, "*")
	}
	w.publish()
	w.device().mustRefuse(reason.TooLarge, day0, "missing")
}

func TestSuccinctRoles(t *testing.T) {
	w := newWorld(t)
	k := newKey()
	key, id := tufKey(k)
	w.roles["targets"].Signed.Delegations = &metadata.Delegations{
		Keys:          map[string]*metadata.Key{id: key},
		SuccinctRoles: &metadata.SuccinctRoles{KeyIDs: []string{id}, Threshold: 1, BitLength: 1, NamePrefix: "bin"},
	}
	for _, bin := range []string{"bin-0", "bin-1"} {
		w.roles[bin] = metadata.Targets(day0.Add(day))
		w.roles[bin].Signed.UnrecognizedFields = map[string]any{}
		w.keys[bin] = append(w.keys[bin], k)
		w.setTarget(bin, "x", bin)
	}
	w.brand(w.id)
	w.publish()
	d := w.device()
	m := d.mustRefresh(day0, "x")
	if len(w.requests) != 5 {
		t.Errorf("requests %v", w.requests)
	}
	if _, err := m.Target("x"); err != nil {
		t.Error(err)
	}
	all, err := d.RefreshAll(context.Background(), w, day0)
	if err != nil || len(all.Versions()) != 6 || len(all.All()) != 1+1 {
		t.Errorf("%v, %v", all, err)
	}
	w.keys["bin-0"], w.keys["bin-1"] = nil, nil
	w.bump()
	d.mustRefuse(reason.UntrustedSigner, day0, "x")
}

// Attack T14: role names are data. Whatever they hold, files stay in the
// directory and requests are one path segment.
func TestAttackT14HostileRoleNames(t *testing.T) {
	for name, request := range map[string]string{
		"?":                     "1.%3F.json",
		"#":                     "1.%23.json",
		"/abs":                  "1.%2Fabs.json",
		"../up":                 "1...%2Fup.json",
		"..":                    "1....json",
		"a\x00b":                "1.a%00b.json",
		`C:\x`:                  "1.C%3A%5Cx.json",
		"%2e%2e%2f":             "1.%252e%252e%252f.json",
		"Deploy":                "1.Deploy.json",
		"dépôt":                 "1.d%C3%A9p%C3%B4t.json",
		"1.root":                "1.1.root.json",
		"roots/1.root":          "1.roots%2F1.root.json",
		"Root":                  "1.Root.json",
		"TIMESTAMP":             "1.TIMESTAMP.json",
		"complete":              "1.complete.json",
		strings.Repeat("ü", 32): "1." + strings.Repeat("%C3%BC", 32) + ".json",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.delegate("targets", name, false, "*")
			w.setTarget(name, "x", "x")
			w.publish()
			d := w.device()
			m := d.mustRefresh(day0, "x")
			if got := w.requests[len(w.requests)-1]; got != request {
				t.Errorf("request %q, want %q", got, request)
			}
			if target, err := m.Target("x"); err != nil || target.Role != name {
				t.Errorf("%+v, %v", target, err)
			}
			stored, err := d.Stored(day0)
			if err != nil {
				t.Fatal(err)
			}
			if target, err := stored.Target("x"); err != nil || target.Role != name {
				t.Errorf("stored: %+v, %v", target, err)
			}
			d.contained()
			if !bytes.Equal(d.stored("root"), w.files["1.root.json"]) || !bytes.Equal(d.stored("timestamp"), w.files["timestamp.json"]) {
				t.Error("a file of another role was overwritten")
			}
			d.mustRefresh(day0, "x")
		})
	}
	for _, name := range []string{"", "root", "timestamp", "snapshot", "targets", strings.Repeat("x", 65), strings.Repeat("x", 10_000)} {
		w := newWorld(t)
		w.roles["targets"].Signed.Delegations = &metadata.Delegations{
			Keys:  map[string]*metadata.Key{},
			Roles: []metadata.DelegatedRole{{Name: name, KeyIDs: []string{}, Threshold: 1, Paths: []string{"*"}}},
		}
		w.publish()
		w.device().mustRefuse(reason.Malformed, day0, "x")
	}
}

// Attack T14: roles whose names a file system, a server or a reader might take
// for one another. Each keeps its own document and speaks for its own targets.
func TestAttackT14NamesThatMeet(t *testing.T) {
	names := []string{"deploy", "Deploy", "DEPLOY", "deploy.", "deploy ", "%64eploy", "deploy%2E", "deploy.json", "1.deploy", "d\u0065\u0301ploy", "d\u00e9ploy"}
	w := newWorld(t)
	for n, name := range names {
		w.delegate("targets", name, false, fmt.Sprintf("x%d", n))
		for m := range names {
			w.setTarget(name, fmt.Sprintf("x%d", m), name)
		}
	}
	w.publish()
	d := w.device()
	m, err := d.RefreshAll(context.Background(), w, day0)
	if err != nil {
		t.Fatal(err)
	}
	d.contained()
	stored, err := d.Stored(day0)
	if err != nil {
		t.Fatal(err)
	}
	for n, name := range names {
		for _, m := range []*tufclient.Metadata{m, stored} {
			target, err := m.Target(fmt.Sprintf("x%d", n))
			if err != nil || target.Role != name || target.CheckBytes([]byte(name)) != nil {
				t.Errorf("%q: %+v, %v", name, target, err)
			}
		}
	}
}

// contained shows that only the expected names are in the directory, none of
// which two roles could share on a file system that folds case.
func (d *device) contained() {
	d.w.t.Helper()
	if entries, _ := os.ReadDir(filepath.Dir(d.dir)); len(entries) != 1 {
		d.w.t.Errorf("files beside the state directory: %v", entries)
	}
	folded := map[string]bool{}
	for name := range d.all() {
		if low := strings.ToLower(name); folded[low] {
			d.w.t.Errorf("%s exists twice", low)
		} else {
			folded[low] = true
		}
		if len(filepath.Base(name)) > 255 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_%./ABCDEF") != "" {
			d.w.t.Errorf("file name %q", name)
		}
	}
}

// Attack T14: target names are data, too, and take no part in file names.
func TestAttackT14HostileTargetNames(t *testing.T) {
	w := newWorld(t)
	names := []string{
		"../../etc/passwd", "/abs", "a\x00b", strings.Repeat("x", 10_000), "policy/../policy", "./policy", "policy/",
		"POLICY", "ＰＯＬＩＣＹ", `C:\policy`, "C:policy", `\\host\policy`, "%70olicy", "policy%00", "policy\n", " policy",
	}
	for _, name := range names {
		w.setTarget("targets", name, name)
	}
	w.publish()
	d := w.device()
	m := d.mustRefresh(day0, names...)
	d.contained()
	for _, name := range names {
		if target, err := m.Target(name); err != nil || target.CheckBytes([]byte(name)) != nil {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

package tufrepo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// branch goes on from files with one more target of deploy.
func branch(t testing.TB, files map[string][]byte, keys tufrepo.Keys, name string) (*tufrepo.Repo, map[string][]byte) {
	t.Helper()
	r := reopen(t, files, now)
	mustSet(t, r, tufrepo.Deploy, "devices/"+name, name)
	return r, mustSign(t, r, keys, now)
}

func wantStanding(t testing.TB, r *tufrepo.Repo, d tufrepo.Document, want tufrepo.Standing) {
	t.Helper()
	if got := r.Standing(tufrepo.Deploy, d); got != want {
		t.Errorf("deploy version %d stands %d to version %d, want %d", d.Version, got, r.Document(tufrepo.Deploy).Version, want)
	}
}

func TestLineageTellsBranchesApart(t *testing.T) {
	r, keys := create(t, tufclient.KindDeployments)
	base := mustSign(t, r, keys, now)
	first := r.Document(tufrepo.Deploy)
	a, ofA := branch(t, base, keys, "a")
	b, _ := branch(t, base, keys, "b")
	docA := a.Document(tufrepo.Deploy)
	wantStanding(t, a, first, tufrepo.Part)
	wantStanding(t, a, docA, tufrepo.Part)
	wantStanding(t, b, docA, tufrepo.Apart)
	wantStanding(t, reopen(t, base, now), docA, tufrepo.Apart)
	for n := range tufrepo.MaxLineage + 1 {
		wantStanding(t, a, docA, tufrepo.Part)
		a, ofA = branch(t, ofA, keys, fmt.Sprint("a-", n))
	}
	wantStanding(t, a, docA, tufrepo.Unsettled)
	mustSet(t, b, tufrepo.Deploy, "devices/a", "a")
	b.Merged(tufrepo.Deploy, docA)
	wantStanding(t, reopen(t, mustSign(t, b, keys, now), now), docA, tufrepo.Part)
}

func TestMalformedLineageIsRefused(t *testing.T) {
	for _, field := range []any{
		"x", map[string]any{"from": []any{}}, map[string]any{"from": []any{}, "merged": "x"},
		map[string]any{"from": []any{"0"}, "merged": []any{}}, map[string]any{"from": []any{}, "merged": make([]any, tufrepo.MaxLineage+1)},
	} {
		r, keys := create(t, tufclient.KindDeployments)
		r.SetField(tufrepo.Deploy, tufrepo.LineageField, field)
		m, err := tufclient.Verify(mustSign(t, r, keys, now)[tufclient.FileName(tufrepo.Root, 1)], r.Files(), now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tufrepo.FromMetadata(m); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), tufrepo.LineageField) {
			t.Errorf("%v: %v", field, err)
		}
	}
}

// TestJoinSignsNoOldDocument: the branch that is ahead in a role gives its
// document, whatever versions the online roles have.
func TestJoinSignsNoOldDocument(t *testing.T) {
	r, keys := create(t, tufclient.KindDeployments)
	base := mustSign(t, r, keys, now)
	never := func(string) bool { return false }
	old := reopen(t, base, now)
	for range 9 {
		base = mustSign(t, old, keys, now) // refreshed by whoever has the online keys
	}
	_, ofFirst := branch(t, base, keys, "a")
	ours, ofOurs := branch(t, ofFirst, keys, "b")
	dead, _ := branch(t, base, keys, "c")
	for name, served := range map[string]*tufrepo.Repo{"ancestor": old, "lower version of another branch": dead} {
		if err := served.Join(ours, never); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(served.Changed()) != 1 || served.Document(tufrepo.Deploy) != ours.Document(tufrepo.Deploy) {
			t.Errorf("%s: %v is signed anew; deploy is %v", name, served.Changed(), served.Document(tufrepo.Deploy))
		}
		mustSign(t, served, only(keys, tufrepo.Snapshot, tufrepo.Timestamp), now)
		for role, v := range ours.Versions() {
			if got := served.Versions()[role]; got < v || got == v && (role == tufrepo.Snapshot || role == tufrepo.Timestamp) {
				t.Errorf("%s: %s has version %d, ours had %d", name, role, got, v)
			}
		}
	}
	x, _ := branch(t, ofOurs, keys, "x")
	y, _ := branch(t, ofOurs, keys, "y")
	if err := y.Join(x, never); !reason.Is(err, reason.Equivocation) {
		t.Errorf("two branches of one version, nobody's: %v", err)
	}
	if err := y.Join(x, func(role string) bool { return role == tufrepo.Deploy }); err != nil || y.Changed()[0] != tufrepo.Deploy {
		t.Errorf("two branches of one version: %v, signs %v", err, y.Changed())
	}
	other, otherKeys := create(t, tufclient.KindDeployments)
	mustSign(t, other, otherKeys, now)
	if err := x.Join(other, never); !reason.Is(err, reason.Equivocation) {
		t.Errorf("another channel: %v", err)
	}
}

package tufrepo_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

var now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func key(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keysFor(t testing.TB, kind string) tufrepo.Keys {
	t.Helper()
	keys := tufrepo.Keys{}
	for _, role := range tufrepo.Roles(kind) {
		keys[role] = []crypto.Signer{key(t)}
	}
	return keys
}

// only returns the keys of some roles: what lies on one machine.
func only(keys tufrepo.Keys, roles ...string) tufrepo.Keys {
	out := tufrepo.Keys{}
	for _, r := range roles {
		out[r] = keys[r]
	}
	return out
}

func create(t testing.TB, kind string) (*tufrepo.Repo, tufrepo.Keys) {
	t.Helper()
	keys := keysFor(t, kind)
	r, err := tufrepo.Create(kind, keys, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return r, keys
}

func mustSign(t testing.TB, r *tufrepo.Repo, keys tufrepo.Keys, at time.Time) map[string][]byte {
	t.Helper()
	files, err := r.Sign(keys, at)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func target(s string) tufrepo.Target {
	return tufrepo.Target{Digest: digest.FromString(s), Length: int64(len(s))}
}

func names(files map[string][]byte) string {
	return strings.Join(slices.Sorted(maps.Keys(files)), " ")
}

func mustSet(t testing.TB, r *tufrepo.Repo, role, name, content string) {
	t.Helper()
	if err := r.SetTarget(role, name, target(content)); err != nil {
		t.Fatal(err)
	}
}

func TestANewChannelVerifies(t *testing.T) {
	r, keys := create(t, tufclient.KindDeployments)
	mustSet(t, r, tufrepo.Targets, "policy", "p")
	mustSet(t, r, tufrepo.Deploy, "devices/press-07", "d")
	files := mustSign(t, r, keys, now)
	if got, want := names(files), "1.deploy.json 1.root.json 1.snapshot.json 1.targets.json timestamp.json"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	m, err := tufclient.Verify(files["1.root.json"], files, now)
	if err != nil {
		t.Fatal(err)
	}
	if m.Identity() != r.Identity() || m.Kind() != tufclient.KindDeployments || !m.SignedAt().Equal(now) {
		t.Errorf("identity %s, signed at %s", m.Identity(), m.SignedAt())
	}
	if !m.Expires().Equal(now.Add(tufrepo.TimestampLifetime)) {
		t.Errorf("expires %s", m.Expires())
	}
	for name, role := range map[string]string{"policy": "targets", "devices/press-07": "deploy"} {
		if got, err := m.Target(name); err != nil || got.Role != role {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	other, _ := create(t, tufclient.KindDeployments)
	if other.Identity() == r.Identity() {
		t.Error("two channels have one id")
	}
}

func TestOnlyWhatChangedIsSignedAgain(t *testing.T) {
	r, keys := create(t, tufclient.KindDeployments)
	before := mustSign(t, r, keys, now)

	// An everyday order needs the deploy key and the online ones.
	mustSet(t, r, tufrepo.Deploy, "devices/press-07", "d")
	files := mustSign(t, r, only(keys, "deploy", "snapshot", "timestamp"), now.Add(time.Hour))
	if got, want := names(files), "1.root.json 1.targets.json 2.deploy.json 2.snapshot.json timestamp.json"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	if !bytes.Equal(files["1.targets.json"], before["1.targets.json"]) || !bytes.Equal(files["1.root.json"], before["1.root.json"]) {
		t.Error("an unchanged role was rewritten")
	}

	// Saying the same again costs no signature but the timestamp's.
	mustSet(t, r, tufrepo.Deploy, "devices/press-07", "d")
	if err := r.RemoveTarget(tufrepo.Targets, "never there"); err != nil {
		t.Fatal(err)
	}
	files = mustSign(t, r, only(keys, "timestamp"), now.Add(2*time.Hour))
	if v := r.Versions(); v["timestamp"] != 3 || v["snapshot"] != 2 || v["deploy"] != 2 {
		t.Errorf("versions %v", v)
	}

	// The snapshot is renewed in time by the machine that has its key.
	late := now.Add(16 * day)
	if _, err := r.Sign(only(keys, "timestamp"), late); !reason.Is(err, reason.Threshold) {
		t.Errorf("snapshot past half its life, without its key: %v", err)
	}
	r = reopen(t, files, now.Add(2*time.Hour))
	mustSign(t, r, only(keys, "timestamp", "snapshot"), late)
	if v := r.Versions(); v["timestamp"] != 4 || v["snapshot"] != 3 || v["targets"] != 1 {
		t.Errorf("versions %v", v)
	}
}

func reopen(t testing.TB, files map[string][]byte, at time.Time) *tufrepo.Repo {
	t.Helper()
	m, err := tufclient.Verify(files["1.root.json"], files, at)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tufrepo.FromMetadata(m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAReopenedChannelGoesOn(t *testing.T) {
	r, keys := create(t, tufclient.KindReleases)
	custom := target("bundle")
	custom.Custom = []byte(`{"evidence": [{"size": 7, "digest": "sha256:<x>&"}]}`)
	if err := r.SetTarget(tufrepo.Targets, "line-monitor/1.4.0", custom); err != nil {
		t.Fatal(err)
	}
	files := mustSign(t, r, keys, now)
	r = reopen(t, files, now)
	if err := r.SetTarget(tufrepo.Targets, "line-monitor/1.4.0", custom); err != nil {
		t.Fatal(err)
	}
	mustSign(t, r, only(keys, "timestamp"), now) // same target: no targets key needed
	mustSet(t, r, tufrepo.Targets, "line-monitor/1.5.0", "newer")
	files = mustSign(t, r, keys, now)
	if got, want := names(files), "1.root.json 2.snapshot.json 2.targets.json timestamp.json"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	m, err := tufclient.Verify(files["1.root.json"], files, now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Target("line-monitor/1.4.0")
	if err != nil || got.Digest != custom.Digest || got.Length != custom.Length {
		t.Errorf("%+v, %v", got, err)
	}
	if !strings.Contains(string(got.Custom), `"size":7`) {
		t.Errorf("custom %s", got.Custom)
	}
	if err := r.RemoveTarget(tufrepo.Targets, "line-monitor/1.4.0"); err != nil {
		t.Fatal(err)
	}
	files = mustSign(t, r, keys, now)
	if m, err = tufclient.Verify(files["1.root.json"], files, now); err != nil || len(m.All()) != 1 {
		t.Errorf("after removal: %v, %v", m, err)
	}
}

func TestRenewedRootExtendsTheChain(t *testing.T) {
	r, keys := create(t, tufclient.KindReleases)
	first := mustSign(t, r, keys, now)
	if err := r.Renew(tufrepo.Root); err != nil {
		t.Fatal(err)
	}
	files := mustSign(t, r, keys, now.Add(day))
	if !bytes.Equal(first["1.root.json"], files["1.root.json"]) || files["2.root.json"] == nil {
		t.Errorf("files %s", names(files))
	}
	m, err := tufclient.Verify(first["1.root.json"], files, now.Add(day))
	if err != nil || m.Versions()["root"] != 2 {
		t.Errorf("%v, %v", m, err)
	}
	if err := r.Renew("nobody"); err == nil {
		t.Error("renewed a role that is not there")
	}
}

func TestThresholds(t *testing.T) {
	kind := tufclient.KindReleases
	keys := keysFor(t, kind)
	keys[tufrepo.Targets] = []crypto.Signer{key(t), key(t), key(t)}
	r, err := tufrepo.Create(kind, keys, map[string]int{tufrepo.Targets: 2}, now)
	if err != nil {
		t.Fatal(err)
	}
	some := maps.Clone(keys)
	some[tufrepo.Targets] = []crypto.Signer{keys[tufrepo.Targets][2], keys[tufrepo.Targets][0]}
	files := mustSign(t, r, some, now)

	for name, have := range map[string][]crypto.Signer{
		"one":          keys[tufrepo.Targets][:1],
		"one twice":    {keys[tufrepo.Targets][0], keys[tufrepo.Targets][0]},
		"one stranger": {keys[tufrepo.Targets][0], key(t)},
		"none":         nil,
	} {
		r := reopen(t, files, now)
		mustSet(t, r, tufrepo.Targets, "a/1.0.0", "x")
		some[tufrepo.Targets] = have
		if _, err := r.Sign(some, now); !reason.Is(err, reason.Threshold) {
			t.Errorf("%s: %v", name, err)
		}
	}

	for name, c := range map[string]struct {
		keys      []crypto.Signer
		threshold int
	}{
		"no key":            {nil, 0},
		"more than keys":    {keys[tufrepo.Targets], 4},
		"negative":          {keys[tufrepo.Targets], -1},
		"the same twice":    {[]crypto.Signer{keys[tufrepo.Root][0], keys[tufrepo.Root][0]}, 1},
		"a curve too small": {[]crypto.Signer{p224(t)}, 1},
	} {
		bad := maps.Clone(keys)
		bad[tufrepo.Targets] = c.keys
		if _, err := tufrepo.Create(kind, bad, map[string]int{tufrepo.Targets: c.threshold}, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := tufrepo.Create("other", keys, nil, now); err == nil {
		t.Error("another kind: accepted")
	}
}

func p224(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEveryKindOfKey(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	keys := keysFor(t, tufclient.KindReleases)
	all := []crypto.Signer{key(t), p384, ed, rsaKey}
	keys[tufrepo.Root], keys[tufrepo.Targets] = all, all
	r, err := tufrepo.Create(tufclient.KindReleases, keys, map[string]int{tufrepo.Root: 4, tufrepo.Targets: 4}, now)
	if err != nil {
		t.Fatal(err)
	}
	files := mustSign(t, r, keys, now)
	if _, err := tufclient.Verify(files["1.root.json"], files, now); err != nil {
		t.Error(err)
	}
}

func TestClockThatWentBackIsRefused(t *testing.T) {
	r, keys := create(t, tufclient.KindReleases)
	mustSign(t, r, keys, now)
	if _, err := r.Sign(keys, now.Add(-time.Second)); !reason.Is(err, reason.Clock) {
		t.Errorf("%v", err)
	}
	mustSign(t, r, keys, now)
}

// What this publisher signed before, and perhaps somebody saw, is never signed
// again under the same version.
func TestVersionsGoAboveWhatWasEverSigned(t *testing.T) {
	r, keys := create(t, tufclient.KindDeployments)
	files := mustSign(t, r, keys, now)
	lost := reopen(t, files, now)
	mustSet(t, lost, tufrepo.Targets, "policy", "a")
	mustSign(t, lost, keys, now)

	r = reopen(t, files, now)
	r.Above(lost.Versions())
	mustSet(t, r, tufrepo.Targets, "policy", "b")
	files = mustSign(t, r, keys, now)
	if v := r.Versions(); v["timestamp"] != 3 || v["snapshot"] != 3 || v["targets"] != 3 || v["deploy"] != 1 {
		t.Errorf("versions %v", v)
	}
	if got, want := names(files), "1.deploy.json 1.root.json 3.snapshot.json 3.targets.json timestamp.json"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

func TestTargetsThatARoleMayNotList(t *testing.T) {
	r, _ := create(t, tufclient.KindDeployments)
	good := target("x")
	for _, c := range []struct {
		role, name string
		t          tufrepo.Target
	}{
		{tufrepo.Deploy, "policy", good},
		{tufrepo.Deploy, "devices/a/b", good},
		{tufrepo.Targets, "", good},
		{tufrepo.Targets, "/abs", good},
		{tufrepo.Targets, "a/../b", good},
		{tufrepo.Targets, strings.Repeat("x", 1025), good},
		{"nobody", "x", good},
		{tufrepo.Targets, "x", tufrepo.Target{Digest: "sha256:00", Length: 1}},
		{tufrepo.Targets, "x", tufrepo.Target{Digest: digest.SHA512.FromString("x"), Length: 1}},
		{tufrepo.Targets, "x", tufrepo.Target{Digest: good.Digest}},
		{tufrepo.Targets, "x", tufrepo.Target{Digest: good.Digest, Length: 1, Custom: []byte(`[1]`)}},
		{tufrepo.Targets, "x", tufrepo.Target{Digest: good.Digest, Length: 1, Custom: []byte(`{`)}},
	} {
		if err := r.SetTarget(c.role, c.name, c.t); err == nil {
			t.Errorf("%s %.20q %+v: accepted", c.role, c.name, c.t)
		}
	}
}

func TestAgingRolesAreNamedInTime(t *testing.T) {
	r, keys := create(t, tufclient.KindDeployments)
	mustSign(t, r, keys, now)
	for days, want := range map[int]string{0: "", 14: "", 16: "snapshot", 200: "deploy snapshot targets", 400: "deploy root snapshot targets"} {
		if got := strings.Join(r.Aging(now.Add(time.Duration(days)*day)), " "); got != want {
			t.Errorf("after %d days: %q, want %q", days, got, want)
		}
	}
}

func TestAChannelIsTakenUpWholeOrNotAtAll(t *testing.T) {
	// A deployment channel of which the deploy role was not loaded.
	r, keys := create(t, tufclient.KindDeployments)
	files := mustSign(t, r, keys, now)
	delete(files, "1.deploy.json")
	m, err := tufclient.Verify(files["1.root.json"], files, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tufrepo.FromMetadata(m); err == nil {
		t.Error("taken up without its deploy role")
	}
}

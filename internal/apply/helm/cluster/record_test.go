package cluster

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// packed is a record as Helm keeps it in a Secret.
func packed(t testing.TB, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return []byte(base64.StdEncoding.EncodeToString(buf.Bytes()))
}

// recorded is the record of a render as Helm writes it, changed as somebody who may
// write Secrets can.
func recorded(t testing.TB, want *release.Release, change func(*release.Release)) *record {
	t.Helper()
	info, chart := *want.Info, *want.Chart
	forged, metadata := *want, *want.Chart.Metadata
	chart.Metadata, forged.Info, forged.Chart = &metadata, &info, &chart
	change(&forged)
	text, err := json.Marshal(&forged)
	if err != nil {
		t.Fatal(err)
	}
	out, err := readRecord(packed(t, string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantedRecord(t testing.TB) *release.Release {
	t.Helper()
	r, err := proved(t, rendering(t, settings(t, "one", "a", "b")))
	if err != nil {
		t.Fatal(err)
	}
	want, err := (&helm{owner: of}).recordOf(r)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// Attack H12: a record is believed only where it says what the last good render says.
func TestAttackH12RecordsAreCompared(t *testing.T) {
	want := wantedRecord(t)
	if !recorded(t, want, func(*release.Release) {}).is(want) {
		t.Error("the record itself is not recognised")
	}
	for name, change := range map[string]func(*release.Release){
		"an object more":    func(r *release.Release) { r.Manifest += "\n---\n{}" },
		"other namespace":   func(r *release.Release) { r.Namespace = "kube-system" },
		"a hook":            func(r *release.Release) { r.Hooks = []*release.Hook{{Name: "x"}} },
		"another chart":     func(r *release.Release) { r.Chart.Metadata.Name = "x" },
		"another version":   func(r *release.Release) { r.Chart.Metadata.Version = "9.0.0" },
		"superseded":        func(r *release.Release) { r.Info.Status = release.StatusSuperseded },
		"no information":    func(r *release.Release) { r.Info = nil },
		"no chart":          func(r *release.Release) { r.Chart = nil },
		"a chart of nobody": func(r *release.Release) { r.Chart.Metadata = nil },
	} {
		if recorded(t, want, change).is(want) {
			t.Errorf("%s: it is believed", name)
		}
	}
}

// Attack H13: what a killed change left is not what should be there, though it says
// the same of the objects: Helm would not go on from it.
func TestAttackH13PendingRecordsAreNotBelieved(t *testing.T) {
	want := wantedRecord(t)
	for _, status := range []release.Status{release.StatusPendingUpgrade, release.StatusPendingInstall, release.StatusPendingRollback, release.StatusFailed, release.StatusUninstalling} {
		left := recorded(t, want, func(r *release.Release) { r.Info.Status = status })
		if left.is(want) {
			t.Errorf("%s: it is believed", status)
		}
		note, err := (&helm{owner: of}).strange(true, left, nil, nil)
		if err != nil || status.IsPending() != strings.Contains(note, "was left "+status.String()) {
			t.Errorf("%s: %q, %v", status, note, err)
		}
	}
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	bomb := packed(t, `{"manifest":"`+strings.Repeat(" ", maxRecord)+`"}`)
	if len(bomb) > 1<<20 {
		t.Fatalf("a Secret has no room for %d bytes", len(bomb))
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "no base64": []byte("{}"), "not compressed": []byte(base64.StdEncoding.EncodeToString([]byte("{}"))),
		"no JSON": packed(t, "x"), "another type": packed(t, `{"info":[]}`), "a bomb": bomb,
	} {
		if r, err := readRecord(data); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add(packed(f, `{"info":{"status":"deployed"},"chart":null,"hooks":[]}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if r, err := readRecord(data); err == nil {
			r.hookless()
		}
	})
}

// Records are told by their names; a number that Helm cannot have given is none.
func TestHistoryOfARelease(t *testing.T) {
	var all []metav1.PartialObjectMetadata
	for _, name := range []string{
		"sh.helm.release.v1.web.v10", "sh.helm.release.v1.web.v9", "sh.helm.release.v1.web.v99999999999999999999", "sh.helm.release.v1.web.v-1",
		"sh.helm.release.v1.web.v2147483647", "sh.helm.release.v1.web2.v11", "sh.helm.release.v1.other.v12", "web", "sh.helm.release.v1.web.vx",
	} {
		all = append(all, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	h := historyOf("web", all)
	var names []string
	for _, r := range h {
		names = append(names, strings.TrimPrefix(r.Name, "sh.helm.release.v1.web."))
	}
	if want := []string{"v99999999999999999999", "v-1", "v2147483647", "vx", "v9", "v10"}; !slices.Equal(names, want) || h.version() != 10 {
		t.Errorf("%q, version %d", names, h.version())
	}
	if got := h.beyond(1); len(got) != 5 || len(h.beyond(9)) != 0 || (history{}).version() != 0 {
		t.Errorf("beyond one: %d", len(got))
	}
}

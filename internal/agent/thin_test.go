package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/store"
)

// archivist is an agent with nothing but an archive.
type archivist struct {
	*testing.T
	a     *Agent
	event uint64
}

func newArchivist(t *testing.T) *archivist {
	t.Helper()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	st := &state{}
	st.makeMaps()
	return &archivist{T: t, a: &Agent{inputs: s, state: st}}
}

// refusal archives a refusal for a deployment, which names its order, of size
// bytes, and a root that all share.
func (x *archivist) refusal(deployment string, size int64) digest.Digest {
	x.Helper()
	x.event++
	order := inputs.Ref{Digest: digest.FromString(fmt.Sprint(x.event)), Size: size}
	c := inputs.Channel{Root: digest.FromString("root"), Time: time.Unix(0, 0).UTC(), Metadata: []inputs.File{{Name: "1.root.json", Digest: digest.FromString("root"), Size: 4}}}
	doc := inputs.Document{
		Version: inputs.Version, Event: x.event, Question: inputs.Order, Deployment: deployment, Device: inputs.Device{ID: "press-07"},
		Operator: c, Supplier: &c, Order: &order, History: &inputs.History{}, Documents: []inputs.Ref{},
		Decision: inputs.Decision{Outcome: inputs.Refused, Reason: reason.Rule, Step: "admit"},
	}
	data, err := doc.Encode()
	if err != nil {
		x.Fatal(err)
	}
	desc := bundle.Describe("application/json", data)
	if err := x.a.inputs.Put(x.Context(), desc, data); err != nil {
		x.Fatal(err)
	}
	x.a.kept = true
	return desc.Digest
}

// thin returns which inputs documents and how many named documents are kept.
func (x *archivist) thin() (map[digest.Digest]bool, int) {
	x.Helper()
	keep := map[digest.Digest]bool{}
	if err := x.a.thinInto(keep); err != nil {
		x.Fatal(err)
	}
	list, err := x.a.inputs.Digests()
	if err != nil {
		x.Fatal(err)
	}
	left := map[digest.Digest]bool{}
	for _, d := range list {
		left[d] = true
	}
	return left, len(keep)
}

// TestArchiveIsBounded: by the number of decisions, of one deployment and of all,
// and by bytes; what runs is always kept, and refusals push no installation out.
func TestArchiveIsBounded(t *testing.T) {
	x := newArchivist(t)
	current, past := x.refusal("d1", 1), x.refusal("d1", 1)
	x.a.state.Installed["d1"] = Installation{Deployment: "d1", Inputs: current}
	x.a.state.Past = []Installation{{Deployment: "d1", Inputs: past}, {Deployment: "d0"}}
	var mine, all []digest.Digest
	for range maxOthersOf + 4 {
		mine = append(mine, x.refusal("d1", 1))
	}
	left, named := x.thin()
	if len(left) != maxOthersOf+2 || !left[current] || !left[past] || left[mine[0]] || !left[mine[len(mine)-1]] {
		t.Errorf("of one deployment %d are left", len(left))
	}
	if want := maxOthersOf + 2 + 1; named != want { // an order each, and the root
		t.Errorf("%d documents are kept, want %d", named, want)
	}
	for n := range maxOthers + 10 {
		all = append(all, x.refusal(fmt.Sprintf("other-%d", n), 1))
	}
	left, _ = x.thin()
	if len(left) != maxOthers+2 || !left[current] || !left[past] || left[all[0]] || !left[all[10]] {
		t.Errorf("of all %d are left", len(left))
	}
	for n := range 20 {
		x.refusal(fmt.Sprintf("large-%d", n), inputs.MaxRef)
	}
	left, _ = x.thin()
	if want := archiveBytes/inputs.MaxRef - 1 + 2; len(left) != want || !left[current] || !left[past] {
		t.Errorf("of large ones %d are left, want %d", len(left), want)
	}
}

// TestArchiveIsLookedAtOnlyAfterItGrew: a poll that finds nothing reads no archive,
// and one that grew without any change is thinned all the same.
func TestArchiveIsLookedAtOnlyAfterItGrew(t *testing.T) {
	x := newArchivist(t)
	for n := range maxOthers + maxPast + archiveSlack {
		x.refusal(fmt.Sprint("d", n), 1)
	}
	if crowded, err := x.a.crowded(); crowded || err != nil {
		t.Errorf("as many as there may be are crowded: %v", err)
	}
	x.refusal("more", 1)
	x.a.kept = false
	if crowded, err := x.a.crowded(); crowded || err != nil {
		t.Errorf("the archive was looked at: %v", err)
	}
	x.a.kept = true
	if err := x.a.thin(); err != nil {
		t.Fatal(err)
	}
	if list, err := x.a.inputs.Digests(); err != nil || len(list) != maxOthers {
		t.Errorf("%d are left, %v", len(list), err)
	}
}

// TestLargeRefusalsCrowd: a few that name much count as many do.
func TestLargeRefusalsCrowd(t *testing.T) {
	x := newArchivist(t)
	for n := range archiveMost / inputs.MaxRef {
		if crowded, err := x.a.crowded(); crowded || err != nil {
			t.Fatalf("%d are crowded: %v", n, err)
		}
		x.refusal(fmt.Sprint("d", n), inputs.MaxRef)
	}
	if crowded, err := x.a.crowded(); !crowded || err != nil {
		t.Errorf("more than %d bytes are not crowded: %v", archiveMost, err)
	}
}

// TestDamagedInputsAreNoReasonToStop: an archive that a disk has damaged is for
// nobody; the device goes on.
func TestDamagedInputsAreNoReasonToStop(t *testing.T) {
	x := newArchivist(t)
	good := x.refusal("d1", 1)
	data := []byte(`{"v":9}`)
	if err := x.a.inputs.Put(t.Context(), bundle.Describe("application/json", data), data); err != nil {
		t.Fatal(err)
	}
	if left, _ := x.thin(); len(left) != 1 || !left[good] {
		t.Errorf("left are %v", left)
	}
}

package inputs

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

func ref(text string) Ref { return Ref{digest.FromString(text), int64(len(text))} }

func channelOf(text string) Channel {
	r := ref(text)
	return Channel{Root: r.Digest, Time: time.Date(2026, 11, 26, 8, 0, 1, 5, time.UTC), Metadata: []File{{"1.root.json", r.Digest, r.Size}, {"timestamp.json", ref("ts").Digest, 2}}}
}

// example is a document of each question.
func example(q Question) *Document {
	d := &Document{
		Version: Version, Event: 7, Question: q,
		Device:   Device{ID: "press-07", Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}, Reserved: []string{"/var/lib/consign"}},
		Operator: channelOf("operator"), Documents: []Ref{},
		Decision: Decision{Refused, reason.WrongDevice, "order"},
	}
	if q == Orders {
		return d
	}
	supplier, order, capabilities := channelOf("supplier"), ref("order"), ref("capabilities")
	d.Deployment, d.Supplier, d.Order, d.History = "d1", &supplier, &order, &History{Highest: "1.0.0"}
	d.Device.Capabilities = &capabilities
	d.Renders = []Render{{"web", ref("render").Digest, 6}}
	d.Decision = Decision{Outcome: Accepted}
	if q == Order {
		previous := ref("previous")
		d.History.Previous = &previous
		d.Unread = []Unread{{ref("lost").Digest, 4, reason.DigestMismatch}}
	}
	return d
}

func encode(t testing.TB, d *Document) []byte {
	t.Helper()
	data, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestOneEncoding: what is written is read back, and in no other spelling.
func TestOneEncoding(t *testing.T) {
	for _, q := range []Question{Orders, Order, Recall} {
		data := encode(t, example(q))
		d, err := Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		if again := encode(t, d); string(again) != string(data) {
			t.Errorf("%s reads back as %s", data, again)
		}
		for _, other := range []string{" " + string(data), strings.Replace(string(data), `"v":1`, `"v": 1`, 1), strings.Replace(string(data), "press-07", `press\u002d07`, 1)} {
			if _, err := Parse([]byte(other)); !reason.Is(err, reason.Malformed) {
				t.Errorf("read %s: %v", other, err)
			}
		}
	}
}

// TestRefsAreComplete: whatever digest stands in a document, but for roots and
// what could not be read, is one that has to be kept.
func TestRefsAreComplete(t *testing.T) {
	d := example(Order)
	d.Documents = []Ref{ref("manifest")}
	kept := map[digest.Digest]bool{}
	for _, r := range d.Refs() {
		if kept[r.Digest] {
			t.Errorf("%s is listed twice", r.Digest)
		}
		kept[r.Digest] = true
	}
	for _, text := range []string{"operator", "supplier", "ts", "order", "previous", "capabilities", "render", "manifest"} {
		if !kept[ref(text).Digest] {
			t.Errorf("%s would not be kept", text)
		}
	}
	if len(kept) != 8 {
		t.Errorf("%d documents would be kept", len(kept))
	}
}

// TestBrokenDocumentsAreNeitherWrittenNorRead: each breaks one rule.
func TestBrokenDocumentsAreNeitherWrittenNorRead(t *testing.T) {
	for name, c := range map[string]struct {
		q     Question
		spoil func(d *Document)
	}{
		"version":               {Order, func(d *Document) { d.Version = 2 }},
		"question":              {Order, func(d *Document) { d.Question = "else" }},
		"no order":              {Order, func(d *Document) { d.Order = nil }},
		"no supplier":           {Recall, func(d *Document) { d.Supplier = nil }},
		"orders with an order":  {Orders, func(d *Document) { d.Deployment = "d1" }},
		"orders accepted":       {Orders, func(d *Document) { d.Decision = Decision{Outcome: Accepted} }},
		"recall refused":        {Recall, func(d *Document) { d.Decision = Decision{Refused, reason.Rule, "admit"} }},
		"accepted for a reason": {Order, func(d *Document) { d.Decision.Reason = reason.Rule }},
		"accepted, no render":   {Order, func(d *Document) { d.Renders = nil }},
		"withheld, a render":    {Order, func(d *Document) { d.Decision = Decision{Withheld, reason.Render, "render"} }},
		"refused, no step":      {Order, func(d *Document) { d.Decision = Decision{Outcome: Refused, Reason: reason.Rule} }},
		"unknown reason":        {Orders, func(d *Document) { d.Decision.Reason = "mood" }},
		"no device":             {Orders, func(d *Document) { d.Device.ID = "" }},
		"long text":             {Orders, func(d *Document) { d.Device.ID = strings.Repeat("x", maxText+1) }},
		"no metadata":           {Orders, func(d *Document) { d.Operator.Metadata = nil }},
		"metadata twice":        {Orders, func(d *Document) { d.Operator.Metadata = append(d.Operator.Metadata, d.Operator.Metadata[0]) }},
		"documents out of order": {Orders, func(d *Document) {
			d.Documents = []Ref{ref("manifest"), ref("manifest")}
		}},
		"digest":             {Orders, func(d *Document) { d.Documents = []Ref{{"sha256:../../log.key", 1}} }},
		"root":               {Orders, func(d *Document) { d.Operator.Root = "sha512:x" }},
		"size":               {Order, func(d *Document) { d.Renders[0].Size = MaxRef + 1 }},
		"unread for nothing": {Order, func(d *Document) { d.Unread[0].Reason = "" }},
	} {
		d := example(c.q)
		c.spoil(d)
		if _, err := d.Encode(); err == nil {
			t.Errorf("%s: was written", name)
		}
		data, err := d.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(data); !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: was read: %v", name, err)
		}
	}
}

func TestDocumentsAreBounded(t *testing.T) {
	d := example(Orders)
	for n := range MaxRefs {
		d.Unread = append(d.Unread, Unread{ref(strings.Repeat("x", n)).Digest, 1, reason.Malformed})
	}
	if _, err := d.Encode(); err == nil || !strings.Contains(err.Error(), "are named") {
		t.Errorf("%d documents: %v", len(d.Unread), err)
	}
	d.Unread = d.Unread[:MaxTotal/MaxRef+1]
	for n := range d.Unread {
		d.Unread[n].Size = MaxRef
	}
	if _, err := d.Encode(); err == nil || !strings.Contains(err.Error(), "bytes are named") {
		t.Errorf("%d large documents: %v", len(d.Unread), err)
	}
	d.Unread = nil
	d.Device.Reserved = make([]string, 2000)
	for n := range d.Device.Reserved {
		d.Device.Reserved[n] = strings.Repeat("x", maxText)
	}
	if _, err := d.Encode(); !reason.Is(err, reason.TooLarge) {
		t.Errorf("a long one: %v", err)
	}
	if _, err := Parse([]byte(strings.Repeat(" ", MaxBytes+1))); !reason.Is(err, reason.TooLarge) {
		t.Errorf("read a long one: %v", err)
	}
}

// A document that is read is written again as it was, and everything that it names
// is a sha256 digest: a name in a store, and no path.
func FuzzParse(f *testing.F) {
	for _, q := range []Question{Orders, Order, Recall} {
		f.Add(encode(f, example(q)))
	}
	f.Add([]byte(`{"v":1,"event":0,"question":"orders","device":{"id":"x","platform":{"architecture":"","os":""}},"operator":{"root":"","time":"0001-01-01T00:00:00Z","metadata":null},"documents":null,"decision":{"outcome":"refused","reason":"rule","step":"policy"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if err != nil {
			if !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge) {
				t.Errorf("refused for %v", err)
			}
			return
		}
		if again := encode(t, d); string(again) != string(data) {
			t.Errorf("%s reads back as %s", data, again)
		}
		for _, r := range d.Refs() {
			if len(r.Digest) != 71 || strings.Contains(string(r.Digest), "/") || r.Size < 0 {
				t.Errorf("names %q of %d bytes", r.Digest, r.Size)
			}
		}
	})
}

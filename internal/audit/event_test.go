package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
)

// example is an event of each kind with every field that the kind has; it is
// also what docs/spec/log.md shows.
func example(kind Kind) Event {
	e := Event{Version: 1, Seq: 7, Time: testTime.Add(1500 * time.Millisecond), Kind: kind, Device: testDevice}
	if kind == Initialised {
		e.Seq = 0
	}
	full := Event{Deployment: "d1", Application: "line-monitor", Release: "1.4.0", Action: Apply, Intent: 6, Result: Failed,
		Reason: reason.Health, Step: "health", Message: "web: exited with 1", Channel: "registry.example/acme/releases", Metadata: 3,
		Root: dg("root"), State: dg("state"), DesiredState: dg("desired"), Policy: dg("policy"), Bundle: dg("bundle"), Render: dg("render"),
		Evidence: []digest.Digest{dg("e1"), dg("e2")}, Program: "agent 0.1.0", Inputs: dg("inputs")}
	has := map[string]bool{}
	for _, name := range append(rules[kind].must, rules[kind].may...) {
		has[name] = true
	}
	data, _ := json.Marshal(full)
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(data, &fields)
	for name := range fields {
		if !has[name] {
			delete(fields, name)
		}
	}
	data, _ = json.Marshal(fields)
	_ = json.Unmarshal(data, &e)
	switch kind {
	case Refused:
		e.Reason, e.Step, e.Message = reason.Grant, "grants", "services.web.privileged is not granted"
	case Gap:
		e.Message = "the agent stopped during apply; the outcome is not known"
	case Removed, RolledBack:
		e.Message = "as ordered"
	case Equivocation:
		e.Message = "two targets files were signed as version 3"
	}
	return e
}

func TestEveryKindHasOneEncoding(t *testing.T) {
	for kind := range rules {
		e := example(kind)
		data, err := e.encode()
		must(t, err)
		got, err := DecodeEvent(data)
		if err != nil {
			t.Errorf("%s: %v\n%s", kind, err, data)
			continue
		}
		again, err := got.encode()
		must(t, err)
		if !bytes.Equal(again, data) {
			t.Errorf("%s: encoded as\n%s and\n%s", kind, data, again)
		}
	}
}

// Every field is in fields, so that none escapes the rules.
func TestEveryFieldHasARule(t *testing.T) {
	listed := map[string]bool{"v": true, "seq": true, "time": true, "kind": true, "device": true}
	e := Event{}
	for _, f := range e.fields() {
		listed[f.name] = true
	}
	full := Event{Version: 1, Seq: 1, Kind: "k", Device: "d", Deployment: "d", Application: "a", Release: "v", Action: "a", Intent: 1, Result: "r",
		Reason: "r", Step: "s", Message: "m", Channel: "c", Metadata: 1, Root: "d", State: "d", DesiredState: "d", Policy: "d", Bundle: "d", Render: "d",
		Evidence: []digest.Digest{"d"}, Program: "p", Inputs: "d"}
	data, err := json.Marshal(full)
	must(t, err)
	var names map[string]any
	must(t, json.Unmarshal(data, &names))
	for name := range names {
		if !listed[name] {
			t.Errorf("field %s is not in fields", name)
		}
	}
	if len(names) != len(listed) {
		t.Errorf("%d fields are encoded, %d listed", len(names), len(listed))
	}
}

func TestEveryKindHasARule(t *testing.T) {
	for _, kind := range Kinds() {
		if _, ok := rules[kind]; !ok {
			t.Errorf("%s has no rule", kind)
		}
	}
	if len(Kinds()) != len(rules) {
		t.Errorf("%d kinds, %d rules", len(Kinds()), len(rules))
	}
}

func TestTheSpecificationShowsEveryKind(t *testing.T) {
	spec, err := os.ReadFile(filepath.Join("..", "..", "docs", "spec", "log.md"))
	must(t, err)
	for kind, r := range rules {
		e := example(kind)
		data, err := e.encode()
		must(t, err)
		row := "| `" + string(kind) + "` | " + ticked(r.must) + " | " + ticked(r.may) + " |"
		if !strings.Contains(string(spec), row) {
			t.Errorf("docs/spec/log.md lacks the row\n%s", row)
		}
		if !bytes.Contains(spec, data) {
			t.Errorf("docs/spec/log.md lacks the example\n%s", data)
		}
	}
}

func ticked(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

func TestDecodeRefusesEveryOtherEncoding(t *testing.T) {
	e := example(Gap)
	good, err := e.encode()
	must(t, err)
	change := func(old, new string) []byte {
		c := bytes.Replace(good, []byte(old), []byte(new), 1)
		if bytes.Equal(c, good) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return c
	}
	for name, data := range map[string][]byte{
		"space":           change(`,"seq"`, `, "seq"`),
		"trailing":        append(bytes.Clone(good), '\n'),
		"duplicate":       change(`"seq":7`, `"seq":7,"seq":7`),
		"unknown field":   change(`"seq":7`, `"seq":7,"sequence":7`),
		"other case":      change(`"seq"`, `"Seq"`),
		"order":           change(`"v":1,"seq":7`, `"seq":7,"v":1`),
		"needless escape": change(`"d1"`, `"d\u0031"`),
		"null":            change(`"d1"`, `null`),
		"empty":           change(`"message":"the agent stopped during apply; the outcome is not known"`, `"message":""`),
		"zone":            change("01.5Z", "01.5+00:00"),
		"time":            change("01.5Z", "01.50Z"),
		"float":           change(`"seq":7`, `"seq":7.0`),
		"negative":        change(`"seq":7`, `"seq":-7`),
		"control":         change("stopped", `sto\u001bpped`),
		"bidi":            change("stopped", "sto\u202epped"),
		"not UTF-8":       change("stopped", "sto\xffpped"),
		"kind":            change(`"gap"`, `"Gap"`),
		"array":           append(append([]byte("["), good...), ']'),
		"nothing":         {},
	} {
		if _, err := DecodeEvent(data); !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := DecodeEvent(make([]byte, MaxEvent+1)); !reason.Is(err, reason.TooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// Attack D10: hostile names in every text of an event are logged, harmless,
// and read back.
func TestHostileTextIsLoggedHarmless(t *testing.T) {
	hostile := []string{"a\nkind: outcome", "\x1b[2J\x1b[31mred", "\u202eevil", "\x00", "\xff\xfe", "x\u200by",
		strings.Repeat("ü", MaxMessage), strings.Repeat("\x1b", MaxMessage), `"},{"v":1`, "a\U000e0001b", "<script>&amp;"}
	l := newLog(t)
	l.grow(1)
	for _, h := range hostile {
		l.append(Event{Kind: Refused, Reason: reason.Malformed, Step: h, Message: h, Deployment: h, Application: h, Release: h, Channel: h})
	}
	l.integrate()
	seen := 0
	_, err := Verify(t.Context(), l.dir, l.key.Public(), nil, func(e Entry) error {
		for _, text := range e.texts() {
			if strings.ContainsFunc(*text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(*text) > MaxText {
				t.Errorf("%q is not harmless", *text)
			}
		}
		seen++
		return nil
	})
	must(t, err)
	if seen != 1+len(hostile) {
		t.Errorf("read back %d events", seen)
	}
	l.fsck()
}

func TestCleanIsStableAndBounded(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, ünïcödé": "plain text, ünïcödé",
		"tab\tand\r\n":        `tab\u0009and\u000d\u000a`,
		"\xff":                `\xff`,
		"\U000e0001":          `\U000e0001`,
		"":                    "",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	exact := strings.Repeat("x", MaxMessage)
	if Clean(exact) != exact {
		t.Error("text at the limit was cut")
	}
	long := Clean(exact + "y")
	if len(long) > MaxMessage || !strings.HasSuffix(long, "...") || Clean(long) != long {
		t.Errorf("cut to %d bytes: %q", len(long), long[len(long)-10:])
	}
}

func TestLargestEventFits(t *testing.T) {
	l := newLog(t)
	l.grow(1)
	quotes := strings.Repeat(`"`, 4*MaxMessage) // twice their length when encoded
	digests := []digest.Digest{}
	for range maxEvidence {
		digests = append(digests, dg("x"))
	}
	l.append(Event{Kind: Refused, Reason: reason.Malformed, Step: quotes, Message: quotes, Deployment: quotes, Application: quotes,
		Release: quotes, Channel: quotes, Bundle: dg("b"), Policy: dg("p"), DesiredState: dg("d"), State: dg("s")},
		Event{Kind: Accepted, Deployment: quotes, Application: quotes, Release: quotes, Channel: quotes, Bundle: dg("b"), Policy: dg("p"), DesiredState: dg("d"), Evidence: digests})
	l.integrate()
	l.mustVerify(3, 0)
}

func TestKeysAreForOneDevice(t *testing.T) {
	for _, device := range []string{"press-07", "line 4/press+07", "ü\u202e"} {
		private, public, err := GenerateKey(device)
		must(t, err)
		key, err := ParseKey(private + "\n")
		must(t, err)
		if key.Public() != public || key.signer.Name() != Origin(device) {
			t.Errorf("%q: key %s of %s", device, key.Public(), key.signer.Name())
		}
	}
	if _, _, err := GenerateKey(""); err == nil {
		t.Error("made a key for no device")
	}
	_, public, err := GenerateKey("d")
	must(t, err)
	for _, text := range []string{"", "secret nonsense", public} {
		_, err := ParseKey(text)
		wantReason(t, err, reason.Malformed)
		if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	for kind := range rules {
		e := example(kind)
		data, err := e.encode()
		must(f, err)
		f.Add(data)
	}
	f.Add([]byte(`{"v":1,"seq":1,"time":"0001-01-01T00:00:00Z","kind":"gap","device":"\u003c","message":"m"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEvent(data)
		if err != nil {
			if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if again, err := e.encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("accepted a second encoding of %s: %s", again, data)
		}
	})
}

// Inputs belong to what the verifier decided, and to nothing else.
func TestOnlyDecisionsHaveInputs(t *testing.T) {
	for _, kind := range Kinds() {
		e := example(kind)
		decided := kind == Accepted || kind == Refused || kind == Intent
		if (e.Inputs != "") != decided {
			t.Errorf("%s has inputs %q", kind, e.Inputs)
		}
		e.Inputs = dg("inputs")
		if err := e.check(); (err == nil) != decided {
			t.Errorf("%s with inputs: %v", kind, err)
		}
	}
	e := example(Intent)
	e.Action = Remove
	if err := e.check(); err == nil {
		t.Error("a removal rests on no verdict, and may name inputs")
	}
	e = example(Accepted)
	e.Inputs = "sha256:../../etc/passwd"
	if err := e.check(); err == nil {
		t.Error("inputs may be no digest")
	}
}

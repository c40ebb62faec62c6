package auditor

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"k8s.io/klog/v2"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/reason"
)

func TestMain(m *testing.M) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dg(s string) digest.Digest { return digest.FromString(s) }

// life is what a device writes in its first days.
func life() []audit.Event {
	about := func(e audit.Event) audit.Event {
		e.Deployment, e.Application, e.Release = "d1", "line-monitor", "1.4.0"
		return e
	}
	bad := about(audit.Event{Kind: audit.Refused, Reason: reason.Grant, Step: "grants", Message: "grant: services.web.privileged\nis not granted"})
	bad.Application = "evil"
	return []audit.Event{
		{Kind: audit.Initialised, Root: dg("root"), Program: "agent 0.1.0"},
		{Kind: audit.Refreshed, Channel: "127.0.0.1:5000/acme/releases", Metadata: 3, State: dg("state")},
		about(audit.Event{Kind: audit.Accepted, Bundle: dg("bundle"), Policy: dg("policy"), Evidence: []digest.Digest{dg("e")}}),
		about(audit.Event{Kind: audit.Intent, Action: audit.Apply, Bundle: dg("bundle"), Policy: dg("policy"), Render: dg("render")}),
		about(audit.Event{Kind: audit.Outcome, Intent: 3, Result: audit.OK}),
		bad,
		about(audit.Event{Kind: audit.Intent, Action: audit.Remove, Bundle: dg("bundle")}),
		about(audit.Event{Kind: audit.Outcome, Intent: 6, Result: audit.Failed, Reason: reason.Unreachable, Message: "unreachable: engine"}),
		about(audit.Event{Kind: audit.Intent, Action: audit.Rollback, Bundle: dg("bundle"), Policy: dg("policy"), Render: dg("render")}),
		about(audit.Event{Kind: audit.RolledBack, Intent: 8}),
		{Kind: audit.Equivocation, Channel: "c", Message: "two files as version 3", Evidence: []digest.Digest{dg("a"), dg("b")}},
		{Kind: audit.Gap, Message: "an event was being written"},
	}
}

// newLog writes life into a log, the last event pending, and keeps the
// checkpoint over the first five.
func newLog(t *testing.T) Request {
	t.Helper()
	home := t.TempDir()
	r := Request{Log: filepath.Join(home, "log"), Since: filepath.Join(home, "old.checkpoint")}
	private, public, err := audit.GenerateKey("press-07")
	must(t, err)
	r.Key = public
	key, err := audit.ParseKey(private)
	must(t, err)
	must(t, audit.Create(t.Context(), r.Log, key))
	log, err := audit.Open(t.Context(), r.Log, key, "press-07")
	must(t, err)
	for i, e := range life() {
		_, err := log.Append(time.Date(2026, 11, 24, 8, 0, i, 0, time.UTC), e)
		must(t, err)
		if i == 4 || i == 10 {
			must(t, log.Integrate(t.Context()))
		}
		if i == 4 {
			must(t, os.WriteFile(r.Since, log.Checkpoint().Signed, 0o600))
		}
	}
	must(t, log.Close())
	return r
}

func text(write func(io.Writer)) string {
	var b bytes.Buffer
	write(&b)
	return b.String()
}

func mustSay(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("does not say %q:\n%s", w, got)
		}
	}
}

func TestVerifySaysHowFarTheLogIsAnchored(t *testing.T) {
	r := newLog(t)
	result, err := Verify(t.Context(), r)
	must(t, err)
	mustSay(t, text(result.WriteText), "whole since checkpoint 5", "11 under the signed checkpoint, 1 pending", "consign.dev/device/press-07")
	r.Since = ""
	result, err = Verify(t.Context(), r)
	must(t, err)
	mustSay(t, text(result.WriteText), "not anchored")
	if !result.Whole || result.Verdict != "not anchored" {
		t.Errorf("%+v", result)
	}
}

func TestFindingIsInTheResult(t *testing.T) {
	r := newLog(t)
	path := filepath.Join(r.Log, "tile", "entries", "000.p", "11")
	data, err := os.ReadFile(path)
	must(t, err)
	data[bytes.Index(data, []byte("1.4.0"))] = '2'
	must(t, os.WriteFile(path, data, 0o600))
	result, err := Verify(t.Context(), r)
	if !audit.IsTampering(err) || result.Whole || result.Finding == nil || *result.Finding.Entry != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := Events(t.Context(), r, Filter{}); !audit.IsTampering(err) {
		t.Errorf("events of a changed log: %v", err)
	}
	if _, err := Show(t.Context(), r, 0); !audit.IsTampering(err) {
		t.Errorf("show from a changed log: %v", err)
	}
}

func TestEventsTellTheStory(t *testing.T) {
	story, err := Events(t.Context(), newLog(t), Filter{})
	must(t, err)
	got := text(story.WriteText)
	mustSay(t, got,
		"    0  2026-11-24 08:00:00Z  initialised   device press-07 obeys operator root sha256:",
		"    1  2026-11-24 08:00:01Z  refreshed     channel 127.0.0.1:5000/acme/releases is at version 3",
		"accepted      line-monitor 1.4.0 passed every check: bundle sha256:",
		"intent        apply line-monitor 1.4.0: bundle sha256:",
		"outcome       line-monitor 1.4.0: ok (ends 3)",
		`refused       evil 1.4.0 at step grants: grant: services.web.privileged\u000ais not granted`,
		"outcome       line-monitor 1.4.0: failed, unreachable (ends 6): engine",
		"rolled-back   line-monitor 1.4.0 (ends 8)",
		"equivocation  channel c: two files as version 3",
		"gap           an event was being written  [pending]",
		"12 of 12 events; whole since checkpoint 5")
	if lines := strings.Count(got, "\n"); lines != 13 {
		t.Errorf("%d lines:\n%s", lines, got)
	}
}

func TestEventsAreFiltered(t *testing.T) {
	r := newLog(t)
	for want, f := range map[int]Filter{
		1: {Application: "evil"},
		2: {Kinds: []audit.Kind{audit.Outcome}},
		8: {Deployment: "d1"},
		3: {Kinds: []audit.Kind{audit.Intent}, Application: "line-monitor"},
	} {
		story, err := Events(t.Context(), r, f)
		must(t, err)
		if len(story.Events) != want {
			t.Errorf("%+v chooses %d events, want %d", f, len(story.Events), want)
		}
	}
	if _, err := Events(t.Context(), r, Filter{Kinds: []audit.Kind{"outcomes"}}); err == nil {
		t.Error("an unknown kind was accepted")
	}
}

func TestShow(t *testing.T) {
	r := newLog(t)
	shown, err := Show(t.Context(), r, 4)
	must(t, err)
	mustSay(t, text(shown.WriteText), `"result": "ok"`, "under the checkpoint of 11 events", "leaf hash ")
	data, err := json.Marshal(shown)
	must(t, err)
	mustSay(t, string(data), `"event":{"v":1,"seq":4,`, `"leaf":"`)
	shown, err = Show(t.Context(), r, 11)
	must(t, err)
	mustSay(t, text(shown.WriteText), "pending: not yet")
	if _, err := Show(t.Context(), r, 12); err == nil {
		t.Error("showed an event that is not there")
	}
}

func TestKeyComesFromTheOperatorNotFromTheLog(t *testing.T) {
	r := newLog(t)
	key := r.Key
	outside := filepath.Join(t.TempDir(), "press-07.vkey")
	must(t, os.WriteFile(outside, []byte(key+"\n"), 0o600))
	r.Key = outside
	_, err := Verify(t.Context(), r)
	must(t, err)

	beside := filepath.Join(r.Log, "press-07.vkey")
	must(t, os.WriteFile(beside, []byte(key+"\n"), 0o600))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(beside, link))
	for _, path := range []string{beside, link} {
		r.Key = path
		_, err = Verify(t.Context(), r)
		if err == nil || !strings.Contains(err.Error(), "proves nothing") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestMistakesAreNotTampering(t *testing.T) {
	good := newLog(t)
	for name, change := range map[string]func(r *Request){
		"no such directory":     func(r *Request) { r.Log = filepath.Join(r.Log, "nowhere") },
		"holds no device log":   func(r *Request) { r.Log = t.TempDir() },
		"neither a verifier":    func(r *Request) { r.Key = "press-07" },
		"no such file":          func(r *Request) { r.Since = "nowhere" },
		"earlier checkpoint":    func(r *Request) { r.Since = newLog(t).Since },
		"malformed verifier id": func(r *Request) { r.Key = r.Since },
	} {
		r := good
		change(&r)
		_, err := Verify(t.Context(), r)
		if err == nil || audit.IsTampering(err) || reason.Of(err) != reason.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type jsonPrinter struct{ out []byte }

func (p *jsonPrinter) Print(v any, _ func(io.Writer)) (err error) {
	p.out, err = json.Marshal(v)
	return err
}

func TestNoEventsAreAnEmptyList(t *testing.T) {
	var p jsonPrinter
	must(t, PrintEvents(&p, nil))
	if string(p.out) != `{"events":[]}` {
		t.Errorf("printed %s", p.out)
	}
}

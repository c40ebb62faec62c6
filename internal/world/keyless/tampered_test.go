package keyless

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
)

// tampered lets the device fetch 1.1.0, and before it applies that, without a
// network, puts something else in the place of a document that it keeps. Each time
// it notices; with the network back it fetches the genuine one again.
func (s *site) tampered(t *testing.T, is func(data []byte) bool, changes map[string]func(genuine []byte) []byte) {
	t.Helper()
	s.Deploy(s.D.ID, "1.1.0", nil)
	if _, err := s.D.SyncScope(agent.FetchOnly); err != nil {
		t.Fatal(err)
	}
	s.StopRegistry()
	path, genuine := s.kept(is)
	runs, journal := s.D.Runs(), len(s.D.Journal())
	for name, change := range changes {
		s.Must(os.RemoveAll(path))
		s.Must(os.WriteFile(path, change(bytes.Clone(genuine)), 0o600))
		if _, err := s.D.SyncScope(agent.ApplyOnly); !reason.Is(err, reason.DigestMismatch) {
			t.Errorf("%s: %v", name, err)
		}
		s.Untouched(t, runs, journal)
	}
	if s.Refusals(reason.DigestMismatch) == 0 {
		t.Errorf("the log says nothing of it: %q", s.D.Events())
	}
	s.StartRegistry()
	s.Recovers(t)
}

// kept is the last document in the device's store that is looked for: the store
// keeps earlier ones, too.
func (s *site) kept(is func(data []byte) bool) (path string, data []byte) {
	s.T.Helper()
	files, err := filepath.Glob(filepath.Join(s.D.Config.StateDir, "store", "blobs", "sha256", "*"))
	s.Must(err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		s.Must(err)
		if is(text) {
			if path != "" {
				s.T.Fatalf("%s and %s are both what is looked for", path, f)
			}
			path, data = f, text
		}
	}
	if path == "" {
		s.T.Fatal("what is looked for is not in the store")
	}
	return path, data
}

// TestAttackS13TrustedRootSwapped: the trusted root on the device's disk becomes
// one with a log, or an authority, of the attacker's.
func TestAttackS13TrustedRootSwapped(t *testing.T) {
	s := fresh(t)
	s.tampered(t, func(data []byte) bool { return bytes.Equal(data, s.TrustedRoot) }, map[string]func([]byte) []byte{
		"another log key": func(data []byte) []byte { return replaced(t, data, `"keyId"`, `"keyID"`) },
		"not in use":      func(data []byte) []byte { return bytes.Replace(data, []byte("202"), []byte("209"), 1) },
		"another": func([]byte) []byte {
			return []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
		},
	})
}

// TestAttackT26ChannelMapEdited: the map of channels is part of the policy. On the
// device's disk it is made to name another repository, or no longer to ask for
// what it asks for; nobody is asked at the new address.
func TestAttackT26ChannelMapEdited(t *testing.T) {
	s := fresh(t)
	s.Requests()
	s.tampered(t, func(data []byte) bool { return bytes.Contains(data, []byte("kind: TrustPolicy")) }, map[string]func([]byte) []byte{
		"another repository": func(data []byte) []byte { return replaced(t, data, s.Releases, s.Host+"/evil/releases") },
		"same length":        func(data []byte) []byte { return replaced(t, data, "/acme/releases", "/evil/releases") },
		"another root":       func(data []byte) []byte { return replaced(t, data, "acme-root.json", "evil-root.json") },
		"no channels":        func(data []byte) []byte { return replaced(t, data, "channels:", "channels: {}\nx:") },
		"another signer":     func(data []byte) []byte { return replaced(t, data, "release\\.yml", "re[a-z]*\\.yml") },
	})
	for _, r := range s.Requests() {
		if strings.Contains(r, "/evil/") {
			t.Errorf("the registry was asked %s", r)
		}
	}
}

func replaced(t *testing.T, data []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%.300s does not contain %q", data, old)
	}
	return bytes.Replace(data, []byte(old), []byte(new), 1)
}

// TestAttackS14StolenPipeline: whoever can run the pipeline that the operator
// trusts signs what they like, validly, and pushes it. It is not listed, so nobody
// looks at it; with the deploy key stolen, too, it is ordered, and not released.
func TestAttackS14StolenPipeline(t *testing.T) {
	s := fresh(t)
	evil := *s.Bundle("1.0.0")
	evil.Version = "1.1.0"
	data, desc, err := bundle.Build(evil)
	s.Must(err)
	s.Must(s.Application("hello").PushManifest(s.Context(), desc, data))
	signed, err := sign.Bundle(s.Context(), sign.Subject{Name: channel.ReleaseTarget("hello", "1.1.0"), Digest: desc.Digest}, as(t, s.s, tag("1.1.0")))
	s.Must(err)
	s.PushEvidence(desc.Digest, desc.Size, signed)

	runs, journal := s.D.Runs(), len(s.D.Journal())
	if res, err := s.D.Sync(); err != nil || res.Changes[0].Action != agent.Unchanged {
		t.Errorf("nothing is ordered: %v, %+v", err, res)
	}
	s.Untouched(t, runs, journal)
	genuine := s.Release("1.1.0").Digest
	s.Deploy(s.D.ID, "1.1.0", nil)
	s.Refuses(t, reason.NotReleased, func() {
		s.Reorder(s.D.ID, func(documents [][]byte) [][]byte {
			return [][]byte{replaced(t, documents[0], string(genuine), string(desc.Digest))}
		})
	}, func() {})
}

// TestAttackS17OldPolicy: a policy that the device has seen the successor of is not
// read again, though its operator signed it.
func TestAttackS17OldPolicy(t *testing.T) {
	s := fresh(t)
	strict := s.Signers
	s.Signers = anybody(s.s)
	s.SetPolicy("")
	loose := s.Files(s.Deployments)
	s.Signers = strict
	s.SetPolicy("")
	if _, err := s.D.Sync(); err != nil {
		t.Fatal(err)
	}
	now := s.Files(s.Deployments)
	s.Refuses(t, reason.Rollback, func() { s.Serve(s.Deployments, loose) }, func() { s.Serve(s.Deployments, now) })
}

// TestAttackS18ForgedVerdict: nothing that the device keeps says that something is
// good. What was good is judged again when the policy changes, and when a trusted
// root changes and not a letter of the policy; and what its own files claim of an
// order does not make it run.
func TestAttackS18ForgedVerdict(t *testing.T) {
	s := fresh(t)
	strict, genuine := s.Signers, s.TrustedRoot
	s.Refused(t, reason.UntrustedSigner, func() {
		s.TrustedRoot = begun.ReplaceAll(genuine, []byte("${1}209"))
		s.SetPolicy("")
	})
	s.TrustedRoot = genuine
	s.Refused(t, reason.Identity, func() {
		s.Signers = strings.ReplaceAll(strict, "acme/hello", "acme/other")
		s.SetPolicy("")
	})
	s.Signers = strict
	s.SetPolicy("")
	if _, err := s.D.Sync(); err != nil {
		t.Fatalf("the policy as it was: %v", err)
	}

	ordered(s.World, s.D, "1.1.0", strict)
	s.Signers = strings.ReplaceAll(strict, "acme/hello", "acme/other")
	s.Refused(t, reason.Identity, func() { s.SetPolicy("") })
	runs, journal := s.D.Runs(), len(s.D.Journal())
	s.claims(t, "1.1.0")
	s.D.Config.RequireApproval = true
	for range 2 {
		if _, err := s.D.Sync(); err != nil && !reason.Is(err, reason.Identity) {
			t.Errorf("claims in its own files: %v", err)
		}
		s.Untouched(t, runs, journal)
	}
	s.D.Config.RequireApproval = false
	s.Signers = strict
	s.SetPolicy("")
	s.Recovers(t)
}

// begun is when authorities and logs came into use.
var begun = regexp.MustCompile(`("start": *")202`)

// claims makes the device's files say that a person approved what is ordered, and
// that it was judged and applied.
func (s *site) claims(t *testing.T, version string) {
	t.Helper()
	path := filepath.Join(s.D.Config.StateDir, "installed.json")
	text, err := os.ReadFile(path)
	s.Must(err)
	var state map[string]any
	s.Must(json.Unmarshal(text, &state))
	for id, a := range state["attempts"].(map[string]any) {
		refused, in := a.(map[string]any), state["installed"].(map[string]any)[id].(map[string]any)
		in["order"], in["policy"], in["version"], in["highest"] = refused["order"], refused["policy"], version, version
	}
	state["attempts"] = map[string]any{}
	text, err = json.Marshal(state)
	s.Must(err)
	s.Must(os.WriteFile(path, text, 0o600))
	if err := s.D.Approve(); err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(s.D.Config.StateDir, "approved.json"))
	s.Must(err)
	s.Now = s.Now.Add(time.Minute)
}

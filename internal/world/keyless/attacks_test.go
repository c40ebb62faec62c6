package keyless

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// TestAttackS3EntryOfAnotherRelease: the channel lists a release whose signature
// comes with the log entry of the release before.
func TestAttackS3EntryOfAnotherRelease(t *testing.T) {
	s := fresh(t)
	genuine, old := s.Evidence("1.1.0")[0], s.Evidence("1.0.0")[0]
	s.Deploy(s.D.ID, "1.1.0", nil)
	s.Refuses(t, reason.Signature, func() {
		s.Attach("1.1.0", s.edited(genuine, func(_, m map[string]any) {
			s.edited(old, func(_, from map[string]any) { m["tlogEntries"] = from["tlogEntries"] })
		}))
	}, func() { s.Attach("1.1.0", genuine) })
}

// TestAttackD20SignedAndNotLogged: a release for one victim is signed by the right
// pipeline and kept out of the log, where others could see it. What is in the log
// for show and says something else is the same.
func TestAttackD20SignedAndNotLogged(t *testing.T) {
	s := fresh(t)
	genuine := s.Evidence("1.1.0")[0]
	s.Deploy(s.D.ID, "1.1.0", nil)
	for name, edit := range map[string]func(_, m map[string]any){
		"no entry":   func(_, m map[string]any) { delete(m, "tlogEntries") },
		"no entries": func(_, m map[string]any) { m["tlogEntries"] = []any{} },
		"an unknown log": func(_, m map[string]any) {
			entryOf(m)["logId"] = map[string]any{"keyId": strings.Repeat("A", 43) + "="}
		},
		"a promise alone": func(_, m map[string]any) {
			delete(entryOf(m), "inclusionProof")
			entryOf(m)["inclusionPromise"] = map[string]any{"signedEntryTimestamp": "AAAA"}
		},
	} {
		// The same refusal again is no news, and is logged once.
		runs, journal := s.D.Runs(), len(s.D.Journal())
		s.Attach("1.1.0", s.edited(genuine, edit))
		if _, err := s.D.Sync(); !reason.Is(err, reason.Signature) || !strings.Contains(err.Error(), "log") {
			t.Errorf("%s: %v", name, err)
		}
		s.Untouched(t, runs, journal)
	}
	if n := s.Refusals(reason.Signature); n != 1 {
		t.Errorf("the log has %d refusals: %q", n, s.D.Events())
	}
	s.Attach("1.1.0", genuine)
	s.Recovers(t)
}

func entryOf(material map[string]any) map[string]any {
	return material["tlogEntries"].([]any)[0].(map[string]any)
}

// TestAttackO2ForgedEvidence: forged and foreign evidence beside the genuine, in
// every order, changes nothing; without the genuine there is nothing; a flood of it
// is not read.
func TestAttackO2ForgedEvidence(t *testing.T) {
	s := fresh(t)
	genuine, old := s.Evidence("1.1.0")[0], s.Evidence("1.0.0")[0]
	forged := [][]byte{
		[]byte("{}"), s.edited(genuine, func(_, m map[string]any) { m["certificate"] = map[string]any{"rawBytes": "AAAA"} }), old,
		s.edited(genuine, func(_, m map[string]any) { delete(m, "tlogEntries") }),
		s.edited(genuine, func(b, _ map[string]any) { b["dsseEnvelope"].(map[string]any)["payload"] = "e30=" }),
	}
	s.Deploy(s.D.ID, "1.1.0", nil)
	s.Refused(t, reason.Signature, func() { s.Attach("1.1.0", forged...) })
	s.Attach("1.1.0")
	if _, err := s.D.Sync(); !reason.Is(err, reason.Signature) {
		t.Errorf("everything is taken away: %v", err)
	}
	flood := [][]byte{genuine}
	for n := range verify.MaxEvidence {
		flood = append(flood, []byte(strings.Repeat(" ", n)+"{}"))
	}
	s.Attach("1.1.0", flood...)
	s.Requests()
	if _, err := s.D.Sync(); !reason.Is(err, reason.Signature) || !strings.Contains(err.Error(), "pieces of evidence") {
		t.Errorf("a flood: %v", err)
	}
	for _, r := range s.Requests() {
		if strings.Contains(r, "/acme/hello/blobs/") || strings.Contains(r, "/referrers/") {
			t.Errorf("a flood: the device asked %s", r)
		}
	}
	// Nobody lists these; anybody may push them.
	target := s.Release("1.1.0")
	for _, f := range forged {
		s.PushEvidence(target.Digest, target.Length, f)
	}
	s.Attach("1.1.0", append(forged, genuine)...)
	res, err := s.D.Sync()
	if err != nil || res.Changes[0].Action != agent.Upgraded {
		t.Errorf("the genuine one last: %v, %+v", err, res.Changes)
	}
	for _, r := range s.Requests() {
		if strings.Contains(r, "/referrers/") {
			t.Errorf("the device asked %s", r)
		}
	}
}

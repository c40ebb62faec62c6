package publish

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufrepo"
)

func record(name string, custom string) commitRecord {
	after := &tufrepo.Target{Digest: digest.FromString(name), Length: 7, Custom: json.RawMessage(custom)}
	return commitRecord{
		Manifest:  digest.FromString("manifest of " + name),
		Documents: map[string]tufrepo.Document{tufrepo.Deploy: {Version: 2, SHA256: digest.FromString("document of " + name).Encoded()}},
		Changes:   []tufrepo.Change{{Role: tufrepo.Deploy, Name: name, After: after}},
	}
}

func TestJournalIsKeptAndBounded(t *testing.T) {
	keys := KeyDir{Path: t.TempDir()}
	j, err := keys.loadJournal("id")
	if err != nil {
		t.Fatal(err)
	}
	for n := range maxCommits + 3 {
		j = j.with(record("devices/"+string(rune('a'+n)), `{}`), map[string]int64{tufrepo.Deploy: int64(n + 1)})
		if err := keys.save(j); err != nil {
			t.Fatal(err)
		}
	}
	got, err := keys.loadJournal("id")
	if err != nil || !reflect.DeepEqual(got, j) {
		t.Fatalf("read back %+v, %v; want %+v", got, err, j)
	}
	if n := len(got.Commits); n != maxCommits || got.Commits[0].Changes[0].Name != "devices/d" || got.Taken[tufrepo.Deploy] != maxCommits+3 {
		t.Errorf("%d commits, the first %+v, versions %v", n, got.Commits[0], got.Taken)
	}
	if _, err := keys.loadJournal("another"); !reason.Is(err, reason.WrongChannel) {
		t.Errorf("the journal of another channel: %v", err)
	}
	big := `{"x":"` + strings.Repeat("x", 300<<10) + `"}`
	for range 5 {
		j = j.with(record("devices/big", big), nil)
	}
	if err := keys.save(j); err != nil {
		t.Fatal(err)
	}
	if got, err = keys.loadJournal("id"); err != nil || len(got.Commits) != 3 {
		t.Errorf("a journal of large commits: %v, %v", len(got.Commits), err)
	}
}

func TestDamagedJournalIsRefused(t *testing.T) {
	good, err := json.Marshal((&journal{Format: 1, Channel: "id", Taken: map[string]int64{}}).with(record("devices/a", `{}`), map[string]int64{"deploy": 2}))
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range [][2]string{
		{`"format":1`, `"format":2`},
		{`"format":1`, `"format":1,"more":1`},
		{`"deploy":2`, `"deploy":0`},
		{`"version":2`, `"version":0`},
		{`"sha256":"`, `"sha256":"x`},
		{`"role":"deploy"`, `"role":"targets"`},
		{`"name":"devices/a"`, `"name":""`},
		{`"length":7`, `"length":0`},
		{`"manifest":"sha256:`, `"manifest":"`},
	} {
		bad := strings.Replace(string(good), edit[0], edit[1], 1)
		if _, err := parseJournal([]byte(bad)); bad == string(good) || !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: %v", edit[1], err)
		}
	}
}

func FuzzParseJournal(f *testing.F) {
	good, _ := json.Marshal((&journal{Format: 1, Channel: "id"}).with(record("devices/a", `{"logKey":"k"}`), nil))
	f.Add(good)
	f.Add([]byte(`{"format":1,"channel":"","taken":null,"commits":null}`))
	keys := KeyDir{Path: filepath.Join(f.TempDir())}
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := parseJournal(data)
		if err != nil {
			return
		}
		if j.Taken == nil {
			j.Taken = map[string]int64{}
		}
		if err := keys.save(j); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.loadJournal(j.Channel); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}

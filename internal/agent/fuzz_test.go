package agent

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// A configuration that is accepted names the machine's own places only, its
// times can be used, and it reads back as itself.
func FuzzParseConfig(f *testing.F) {
	whole, err := strictyaml.Marshal(DefaultConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, s := range []string{"stateDir: /var/lib/x\n", "engine: tcp://x\n", "registryAddress: 127.0.0.1:0\n", "applyWindow: {days: [mon], hours: 22:00-04:00}\n",
		"applyWindow: {hours: 00:00-24:00}\n", "pollInterval: 1ns\n", "pollInterval: 5m\npollInterval: 6m\n", "statedir: /x\n", "stateDir: &a [*a]\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		if err != nil {
			return
		}
		if !filepath.IsAbs(c.StateDir) || !filepath.IsAbs(c.SecretsDir) || c.registryPort() <= 0 {
			t.Errorf("accepted %+v", c)
		}
		for hour := range 48 {
			c.ApplyWindow.open(time.Date(2026, 1, 5, hour, 30, 0, 0, time.UTC))
		}
		again, err := strictyaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseConfig(again); err != nil || fmt.Sprintf("%+v", back) != fmt.Sprintf("%+v", c) {
			t.Errorf("%+v reads back as %+v, %v", c, back, err)
		}
	})
}

// A state that is read is the one that would be written.
func FuzzState(f *testing.F) {
	var s state
	s.makeMaps()
	s.Attempts["x"] = Attempt{Reason: reason.Expired, Text: "late"}
	s.Installed["x"] = Installation{}
	data, err := json.Marshal(&s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"installed":null,"Installed":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s, back state
		if err := strictjson.Unmarshal(data, &s, strictjson.Limits{Bytes: maxStateBytes, Depth: 16}); err != nil {
			return
		}
		s.makeMaps()
		first, err := json.Marshal(&s)
		if err != nil {
			return // a time of the year 20000 can be read and not be written
		}
		if err := strictjson.Unmarshal(first, &back, strictjson.Limits{Bytes: maxStateBytes, Depth: 16}); err != nil {
			t.Fatalf("own state is not read: %v", err)
		}
		back.makeMaps()
		if second, err := json.Marshal(&back); err != nil || string(first) != string(second) {
			t.Errorf("%s became %s, %v", first, second, err)
		}
	})
}

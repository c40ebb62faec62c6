package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/cli"
)

// TestExitCodes holds the commands to their exit codes and to saying what is
// wrong where.
func TestExitCodes(t *testing.T) {
	log, vkey := newLog(t)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.CopyFS(broken, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	entries := filepath.Join(broken, "tile", "entries", "000.p", "1")
	data, err := os.ReadFile(entries)
	if err != nil {
		t.Fatal(err)
	}
	data[40] ^= 1
	if err := os.WriteFile(entries, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		exit   int
		stdout string
		stderr string
	}{
		{"verify " + log + " --key " + vkey, cli.ExitDone, "not anchored", ""},
		{"verify " + log + " --output json --key " + vkey, cli.ExitDone, `"whole":true`, ""},
		{"events " + log + " --key " + vkey, cli.ExitDone, "initialised", ""},
		{"show " + log + " 0 --key " + vkey, cli.ExitDone, `"kind": "initialised"`, ""},
		{"verify " + broken + " --key " + vkey, cli.ExitTampering, "", "tile/entries/000.p/1: entry 0"},
		{"verify " + broken + " --output json --key " + vkey, cli.ExitTampering, `"finding":{"file":"tile/entries/000.p/1","entry":0`, `"exit":7`},
		{"events " + broken + " --key " + vkey, cli.ExitTampering, "", "tampering found"},
		{"show " + broken + " 0 --key " + vkey, cli.ExitTampering, "", "tampering found"},
		{"verify " + log, cli.ExitUsage, "", "--key is missing"},
		{"verify", cli.ExitUsage, "", ""},
		{"events " + log + " --kind refusal --key " + vkey, cli.ExitUsage, "", "no event is of kind"},
		{"show " + log + " first --key " + vkey, cli.ExitUsage, "", "not the number of an event"},
		{"show " + log + " 9 --key " + vkey, cli.ExitFailed, "", "no event 9"},
		{"verify " + log + " --key nonsense", cli.ExitFailed, "", "neither a verifier key"},
	} {
		root := newRoot()
		var stdout, stderr bytes.Buffer
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		exit := cli.Execute(context.Background(), root, strings.Fields(c.args))
		if exit != c.exit || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("auditor %s: exit %d, want %d\n%s%s", c.args, exit, c.exit, stdout.String(), stderr.String())
		}
		if c.stdout == "" && stdout.Len() > 0 {
			t.Errorf("auditor %s: printed %s", c.args, stdout.String())
		}
	}
}

func newLog(t *testing.T) (dir, vkey string) {
	dir, vkey, _ = newLogWithKey(t)
	return dir, vkey
}

func newLogWithKey(t *testing.T) (dir, vkey string, key *audit.Key) {
	t.Helper()
	audit.SetTesseraLogger(slog.New(slog.DiscardHandler))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(t.TempDir(), "log")
	private, vkey, err := audit.GenerateKey("press-07")
	must(err)
	key, err = audit.ParseKey(private)
	must(err)
	must(audit.Create(t.Context(), dir, key))
	log, err := audit.Open(t.Context(), dir, key, "press-07")
	must(err)
	_, err = log.Append(time.Unix(1800000000, 0), audit.Event{Kind: audit.Initialised, Root: digest.FromString("root")})
	must(err)
	must(log.Integrate(t.Context()))
	must(log.Close())
	return dir, vkey, key
}

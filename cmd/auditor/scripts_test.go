package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/cli/clitest"
	"github.com/consign-dev/consign/internal/reason"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"auditor": main})
}

// TestScripts runs the program on copies of one log. A script finds
//
//	log/        two events of press-07
//	earlier/    the same log when it had one
//	vkey        its key, as the operator recorded it, also in $KEY
//	other.vkey  the key of another log
//	root.json   the bytes whose digest event 0 has as the operator's root
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	log, vkey, key := newLogWithKey(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.CopyFS(filepath.Join(dir, "earlier"), os.DirFS(log)))
	grow(t, log, key)
	must(os.CopyFS(filepath.Join(dir, "log"), os.DirFS(log)))
	_, other, err := audit.GenerateKey("press-07")
	must(err)
	must(os.WriteFile(filepath.Join(dir, "vkey"), []byte(vkey+"\n"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "other.vkey"), []byte(other+"\n"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "root.json"), []byte("root"), 0o600))
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: clitest.Commands(nil), Setup: func(env *testscript.Env) error {
		env.Setenv("KEY", vkey)
		return os.CopyFS(env.WorkDir, os.DirFS(dir))
	}})
}

// grow adds a refusal to a log.
func grow(t *testing.T, dir string, key *audit.Key) {
	t.Helper()
	log, err := audit.Open(t.Context(), dir, key, "press-07")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	refused := audit.Event{
		Kind: audit.Refused, Channel: "registry.example/plant/deployments", Step: "order", Reason: reason.NoOrder, Message: "no target for this device",
	}
	if _, err := log.Append(time.Unix(1800000060, 0), refused); err != nil {
		t.Fatal(err)
	}
	if err := log.Integrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

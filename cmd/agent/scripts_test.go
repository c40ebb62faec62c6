package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consign-dev/consign/internal/apply/compose"
	"github.com/consign-dev/consign/internal/cli/clitest"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/world"
)

// worldly makes the tests of this package ones that make worlds.
type worldly struct{ m *testing.M }

func (w worldly) Run() int { return world.Main(w.m) }

// TestMain puts the applier beside the agent, which looks for it nowhere else.
func TestMain(m *testing.M) {
	testscript.Main(worldly{m}, map[string]func(){"agent": main, "applier-compose": applier})
}

func applier() {
	if err := compose.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "applier-compose:", err)
		os.Exit(1)
	}
}

// TestScripts runs the program against the channels of one world, each script
// as a device of another name. It finds
//
//	plant-root.json   the operator's root, acme-root.json the supplier's
//	agent.yaml        a configuration whose engine does not exist
//
// and $CHANNEL, the address of the deployment channel.
func TestScripts(t *testing.T) {
	w := world.New(t)
	w.Publish("acme", "1.0.0", nil)
	w.Publish("acme", "1.1.0", func(dir string) {
		w.Edit(filepath.Join(dir, "components", "hello-stack", "compose.yaml"), "read_only: true", "privileged: true")
	})
	op := &operator{w: w}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Setup: func(env *testscript.Env) error { return setUp(env, w) },
		Cmds: clitest.Commands(map[string]func(*testscript.TestScript, bool, []string){
			"enrol": op.enrol, "order": op.order, "hold": hold,
		}),
	})
}

func setUp(env *testscript.Env, w *world.World) error {
	if err := clitest.Bare(env); err != nil {
		return err
	}
	env.Setenv("CHANNEL", w.Deployments)
	for _, party := range []string{"plant", "acme"} {
		root, err := os.ReadFile(filepath.Join(w.Dir, party, "root.json"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(env.WorkDir, party+"-root.json"), root, 0o600); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	config := fmt.Sprintf("stateDir: %s/state\nengine: unix://%s/no-engine.sock\nregistryAddress: %s\n", env.WorkDir, env.WorkDir, l.Addr())
	return os.WriteFile(filepath.Join(env.WorkDir, "agent.yaml"), []byte(config), 0o600)
}

// operator changes the deployment channel for scripts, one at a time.
type operator struct {
	mu sync.Mutex
	w  *world.World
}

// enrol is the script command "enrol DEVICE LOGKEY".
func (o *operator) enrol(ts *testscript.TestScript, _ bool, args []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ts.Check(o.w.Party("plant").AddDevice(context.Background(), o.w.Deployments, args[0], args[1], "compose"))
}

// order is the script command "order DEVICE VERSION".
func (o *operator) order(ts *testscript.TestScript, _ bool, args []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.w.Party("plant").Deploy(context.Background(), publish.DeployInput{
		Channel: o.w.Deployments, Application: "hello", Version: args[1], Device: args[0],
	})
	ts.Check(err)
}

// hold is the script command "hold STATEDIR": the lock of another agent, until
// the script ends.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	lock, err := durable.TryLock(filepath.Join(ts.MkAbs(args[0]), "lock"))
	ts.Check(err)
	ts.Defer(func() { _ = lock.Unlock() })
}

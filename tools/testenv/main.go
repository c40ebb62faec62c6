// Testenv provides what the tests need of a machine and takes it away again:
//
//	testenv engine run  --dir DIR -- COMMAND...   run COMMAND with an engine
//	testenv engine up   --dir DIR                 start one, print its address
//	testenv engine down --dir DIR                 stop it and remove its data
//	testenv cluster run --dir DIR -- COMMAND...   run COMMAND with a Kubernetes
//
// An engine is a Docker engine. One that can be reached is used as it is: the
// one that CONSIGN_TEST_ENGINE names, or the machine's own at
// /var/run/docker.sock. Otherwise a private one is started from Debian's
// packages (docker.io, installed with apt-get if need be), with its own
// containerd, sockets, data, cgroups and address range, and without touching
// iptables, sysctls or any daemon of the machine. Published ports on 127.0.0.1
// work through the engine's own proxy.
//
// The command finds the address in CONSIGN_TEST_ENGINE. When it ends, or
// testenv is interrupted, the private engine goes with everything it made. If
// testenv itself is killed, the next one with the same DIR clears up.
//
// A cluster is a Kubernetes of one real node: the programs of tools/kube, which
// CONSIGN_KUBE_BIN names, with Debian's containerd, runc and network plugins
// (installed if need be) and an etcd that keeps nothing. The command finds in the
// directory CONSIGN_TEST_CLUSTER a kubeconfig and init.pid, the process whose network
// namespace the node is in; a cluster that the variable names already is used as it
// is. Pods and services can be reached from the machine and have no route to its
// networks. There is no DNS. Every process, mount and interface of a cluster is in
// namespaces of its own, and so goes whatever happens to testenv; the next one with
// the same DIR takes away the files of one that was killed. Without a command, the
// cluster runs until testenv is interrupted.
//
// A private engine and a cluster need root; without it, testenv asks sudo (never
// for a password) for that part alone, and the command runs as the user.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

const usage = `usage: testenv engine run  --dir DIR -- COMMAND...
       testenv engine up   --dir DIR
       testenv engine down --dir DIR
       testenv cluster run --dir DIR [-- COMMAND...]`

func main() {
	code, err := run(context.Background(), os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout io.Writer) (int, error) {
	switch {
	case len(args) >= 2 && args[0] == "engine":
		return runEngine(ctx, args[1], args[2:], stdout)
	case len(args) >= 2 && args[0] == "cluster":
		return runCluster(ctx, args[1], args[2:])
	default:
		return 2, errors.New(usage)
	}
}

func runEngine(ctx context.Context, step string, args []string, stdout io.Writer) (int, error) {
	flags := flag.NewFlagSet("testenv", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory for the data of a private engine")
	name := flags.String("name", "engine", "name of a private engine within the directory")
	group := flags.Int("group", os.Getgid(), "group that may use a private engine")
	if err := flags.Parse(args); err != nil || *dir == "" {
		return 2, errors.New(usage)
	}
	abs, err := filepath.Abs(*dir)
	if err != nil {
		return 1, err
	}
	e := newEngine(abs, *name, *group)
	switch step {
	case "up":
		address, _, err := provide(ctx, e)
		if err == nil {
			fmt.Fprintln(stdout, address)
		}
		return 0, err
	case "down":
		return 0, withRoot(e, "down", func() error { return e.stop() })
	case "run":
		return runCommand(ctx, newEngine(abs, fmt.Sprintf("run-%d", os.Getpid()), *group), flags.Args())
	default:
		return 2, errors.New(usage)
	}
}

// provide returns the address of an engine, and whether it was started here.
func provide(ctx context.Context, e *engine) (address string, private bool, err error) {
	if address, err := existing(ctx); err != nil || address != "" {
		return address, false, err
	}
	err = withRoot(e, "up", func() error {
		if err := install(ctx); err != nil {
			return err
		}
		return e.start(ctx)
	})
	return e.address(), err == nil, err // a start that fails has cleared up
}

// withRoot does a step as root: here, or in another testenv through sudo.
func withRoot(e *engine, step string, do func() error) error {
	if os.Geteuid() == 0 {
		return do()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		return fmt.Errorf("no Docker engine answers at %s, and a private one needs root: run this as root, install sudo, or set %s to an engine's address", machineEngine, variable)
	}
	cmd := exec.Command("sudo", "-n", self, "engine", step, "--dir", e.dir, "--name", e.name, "--group", fmt.Sprint(e.group))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = newSession() // an interrupt from the keyboard must not stop it half way
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s a private engine needs root: sudo: %w", step, err)
	}
	return nil
}

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// privateEngine is an engine that only root can start; make test as root, as
// on CI, covers it.
func privateEngine(t *testing.T) *engine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a private engine needs root; run 'sudo make test' to cover it")
	}
	if err := install(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t.TempDir(), "engine", os.Getgid())
	t.Cleanup(func() {
		if err := e.stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// runContainer makes an image of nothing but a sleeping program and runs it on a
// network of its own, whose bridge it returns.
func runContainer(t *testing.T, e *engine) (bridge string) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(time.Hour) }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "sleep"), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	binary, err := os.ReadFile(filepath.Join(dir, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	tw := tar.NewWriter(&layer)
	_ = tw.WriteHeader(&tar.Header{Name: "sleep", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(binary))})
	_, _ = tw.Write(binary)
	_ = tw.Close()

	ctx := t.Context()
	c, err := client.New(client.WithHost(e.address()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	imported, err := c.ImageImport(ctx, client.ImageImportSource{Source: &layer, SourceName: "-"}, "sleep:1", client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/sleep"]`}})
	if err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(imported); err != nil || strings.Contains(answer.String(), "error") {
		t.Fatalf("import: %v %s", err, answer.String())
	}
	network, err := c.NetworkCreate(ctx, "net", client.NetworkCreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.ContainerCreate(ctx, client.ContainerCreateOptions{Name: "sleep", Image: "sleep:1", HostConfig: &container.HostConfig{NetworkMode: "net"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return bridgeOf(network.ID)
}

// traces lists what an engine has on the machine.
func traces(t *testing.T, e *engine) []string {
	t.Helper()
	var out []string
	for _, path := range []string{e.run, e.data} {
		if _, err := os.Stat(path); err == nil {
			out = append(out, path)
		}
	}
	for _, pid := range e.processes("") {
		out = append(out, fmt.Sprintf("process %d", pid))
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if strings.Contains(line, e.run) || strings.Contains(line, e.data) {
			out = append(out, "mount "+line)
		}
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + e.cgroup())
	return append(out, groups...)
}

func TestAPrivateEngineLeavesNothingBehind(t *testing.T) {
	for name, before := range map[string]func(*engine){
		"stopped":           func(*engine) {},
		"dockerd killed":    func(e *engine) { e.end("dockerd", syscall.SIGKILL, time.Second) },
		"containerd killed": func(e *engine) { e.end("containerd", syscall.SIGKILL, time.Second) },
		"both killed": func(e *engine) {
			e.end("dockerd", syscall.SIGKILL, time.Second)
			e.end("containerd", syscall.SIGKILL, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := privateEngine(t)
			if err := e.start(t.Context()); err != nil {
				t.Fatal(err)
			}
			bridge := runContainer(t, e)
			if _, err := net.InterfaceByName(bridge); err != nil {
				t.Fatalf("bridge %s: %v", bridge, err)
			}
			before(e)
			if err := e.stop(); err != nil {
				t.Error(err)
			}
			if left := traces(t, e); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			if _, err := net.InterfaceByName(bridge); err == nil {
				t.Errorf("left behind: bridge %s", bridge)
			}
		})
	}
}

func TestAnInterruptedCommandLeavesNothingBehind(t *testing.T) {
	e := privateEngine(t)
	t.Setenv(variable, "")
	if answers(t.Context(), machineEngine) == nil {
		t.Skip("this machine has an engine, which is used as it is")
	}
	runs := filepath.Join(t.TempDir(), "runs")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(runs); err == nil {
				cancel()
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	start := time.Now()
	code, err := runCommand(ctx, e, []string{"sh", "-c", "touch " + runs + "; sleep 600 & wait"})
	if code != 130 || time.Since(start) > 5*time.Minute {
		t.Errorf("code %d after %s: %v", code, time.Since(start), err)
	}
	if left := traces(t, e); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestTheCommandsExitStatusIsKept(t *testing.T) {
	address := os.Getenv(variable)
	if address == "" {
		t.Fatal("no Docker engine: run the tests with 'make test', which provides one (CONSIGN_TEST_ENGINE)")
	}
	code, err := run(t.Context(), []string{"engine", "run", "--dir", t.TempDir(), "--", "sh", "-c", `test "$CONSIGN_TEST_ENGINE" = "` + address + `" && exit 7`}, nil)
	if code != 7 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestAnEngineAskedForByNameMustAnswer(t *testing.T) {
	t.Setenv(variable, "unix:///run/consign-none.sock")
	if _, err := existing(t.Context()); err == nil || !strings.Contains(err.Error(), "consign-none.sock") {
		t.Errorf("got %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"engine"}, {"engine", "up"}, {"engine", "sideways", "--dir", "x"}, {"motor", "up", "--dir", "x"}} {
		if code, err := run(t.Context(), args, nil); code != 2 || err == nil {
			t.Errorf("%q: code %d, %v", args, code, err)
		}
	}
}

func TestTheNextRunClearsUpAfterAKilledOne(t *testing.T) {
	e := privateEngine(t)
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	killed := newEngine(e.dir, fmt.Sprintf("run-%d", gone.Process.Pid), e.group)
	if err := killed.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, killed); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

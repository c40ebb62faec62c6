package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// readyTimeout is how long a daemon may take until it answers.
const readyTimeout = 60 * time.Second

// engine is a private Docker engine. Where its things are follows from its
// directory and name alone, so that any later testenv can take it away.
type engine struct {
	dir, name string
	group     int
	data      string // images, containers and logs: large, under dir
	run       string // sockets and mounts: its path has to be short
}

func newEngine(dir, name string, group int) *engine {
	sum := sha256.Sum256([]byte(dir + "\x00" + name))
	return &engine{
		dir: dir, name: name, group: group,
		data: filepath.Join(dir, "engines", name),
		run:  filepath.Join("/run", "consign-engine-"+hex.EncodeToString(sum[:6])),
	}
}

func (e *engine) address() string    { return "unix://" + filepath.Join(e.run, "docker.sock") }
func (e *engine) containerd() string { return filepath.Join(e.run, "containerd.sock") }
func (e *engine) cgroup() string     { return filepath.Base(e.run) }
func (e *engine) log(name string) string {
	return filepath.Join(e.data, name+".log")
}

// start clears up after dead ones, then starts containerd and dockerd and
// waits until they answer. What it started goes again when it fails.
func (e *engine) start(ctx context.Context) (err error) {
	if err := e.sweep(); err != nil {
		return err
	}
	if answers(ctx, e.address()) == nil {
		return nil
	}
	if err := e.stop(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	if err := e.prepare(); err != nil {
		return err
	}
	if err := e.daemon(ctx, "containerd", []string{"--config", filepath.Join(e.data, "containerd.toml")}, func() bool {
		_, err := os.Stat(e.containerd())
		return err == nil
	}); err != nil {
		return err
	}
	args, err := e.dockerdArgs()
	if err != nil {
		return err
	}
	return e.daemon(ctx, "dockerd", args, func() bool { return answers(ctx, e.address()) == nil })
}

// prepare makes the directories and the configurations, which keep the daemons
// from reading those of the machine.
func (e *engine) prepare() error {
	for _, dir := range []string{e.data, e.run} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
[ttrpc]
  address = %q
`, filepath.Join(e.data, "containerd"), filepath.Join(e.run, "containerd"), e.containerd(), e.containerd()+".ttrpc")
	return errors.Join(
		os.WriteFile(filepath.Join(e.data, "containerd.toml"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(e.data, "daemon.json"), []byte("{}\n"), 0o600),
	)
}

func (e *engine) dockerdArgs() ([]string, error) {
	pool, err := e.freePool()
	if err != nil {
		return nil, err
	}
	return []string{
		"--config-file", filepath.Join(e.data, "daemon.json"),
		"--host", e.address(), "--group", fmt.Sprint(e.group),
		"--data-root", filepath.Join(e.data, "docker"), "--exec-root", filepath.Join(e.run, "docker"),
		"--pidfile", filepath.Join(e.run, "dockerd.pid"), "--containerd", e.containerd(),
		// Compose makes a network for each project; nothing uses the default one.
		"--bridge", "none", "--default-address-pool", "base=" + pool.String() + ",size=24",
		// The machine's packet filter and routing stay as they are: ports are
		// published on 127.0.0.1 only, which the proxy does alone.
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--userland-proxy=true",
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/" + e.cgroup(),
		"--log-level", "warn",
	}, nil
}

// Ranges for the networks of engines: 10.213.0.0/16 to 10.249.0.0/16.
const (
	firstPool = 213
	pools     = 37
)

// freePool finds a range of 256 networks that no interface of the machine
// overlaps. The search begins at a place that depends on the engine, since two
// engines that start together see nothing of each other yet.
func (e *engine) freePool() (netip.Prefix, error) {
	used, err := interfacePrefixes()
	if err != nil {
		return netip.Prefix{}, err
	}
	start := int(crc32.ChecksumIEEE([]byte(e.run)) % pools)
	for i := range pools {
		second := byte(firstPool + (start+i)%pools)
		pool := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, second, 0, 0}), 16)
		if !overlaps(pool, used) {
			return pool, nil
		}
	}
	return netip.Prefix{}, errors.New("no free address range between 10.213.0.0 and 10.249.255.255 for the engine's networks")
}

func overlaps(pool netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if pool.Overlaps(u) {
			return true
		}
	}
	return false
}

// daemon starts a program in the background and waits until it is ready.
func (e *engine) daemon(ctx context.Context, program string, args []string, ready func() bool) error {
	log, err := os.OpenFile(e.log(program), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(find(program), args...)
	cmd.Env = []string{"PATH=" + daemonPath, "HOME=/nonexistent"}
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = "/", log, log, newSession()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	deadline := time.After(readyTimeout)
	for !ready() {
		select {
		case err := <-exited:
			return fmt.Errorf("%s ended: %w\n%s", program, err, lastLines(e.log(program)))
		case <-deadline:
			return fmt.Errorf("%s does not answer after %s\n%s", program, readyTimeout, lastLines(e.log(program)))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// newSession keeps a process from getting the signals of the terminal.
func newSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func lastLines(path string) string {
	data, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// stop takes the engine away, in whatever state it is: first what it can take
// away itself, then its processes, then what is left. An engine that is not
// there is no error.
func (e *engine) stop() error {
	var bridges []string
	if answers(context.Background(), e.address()) == nil {
		bridges = e.empty()
	}
	sockets := e.shimSockets()
	e.end("dockerd", syscall.SIGTERM, 20*time.Second)
	e.end("containerd", syscall.SIGTERM, 5*time.Second)
	e.end("", syscall.SIGKILL, 5*time.Second)
	if left := e.processes(""); len(left) > 0 {
		return fmt.Errorf("processes %v of the engine in %s do not end", left, e.run)
	}
	for _, socket := range sockets {
		_ = os.Remove(socket)
	}
	err := errors.Join(e.unmount(), e.removeBridges(bridges), removeControlGroups(e.cgroup()), os.RemoveAll(e.run), os.RemoveAll(e.data))
	_ = os.Remove(filepath.Dir(e.data)) // unless another engine is there
	return err
}

// empty has the engine remove its containers and networks, and returns the
// bridges of all networks, for the case that it does not manage to.
func (e *engine) empty() (bridges []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := client.New(client.WithHost(e.address()))
	if err != nil {
		return nil
	}
	defer c.Close()
	containers, err := c.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err == nil {
		for _, found := range containers.Items {
			_, _ = c.ContainerRemove(ctx, found.ID, client.ContainerRemoveOptions{Force: true})
		}
	}
	networks, err := c.NetworkList(ctx, client.NetworkListOptions{})
	if err == nil {
		for _, found := range networks.Items {
			bridges = append(bridges, bridgeOf(found.ID))
			_, _ = c.NetworkRemove(ctx, found.ID, client.NetworkRemoveOptions{})
		}
	}
	return bridges
}

// bridgeOf is how the engine calls the bridge of a network.
func bridgeOf(network string) string { return "br-" + network[:min(12, len(network))] }

// end signals the engine's processes of a program (of any, for "") and waits
// for them to end.
func (e *engine) end(program string, signal syscall.Signal, wait time.Duration) {
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		pids := e.processes(program)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, signal)
		}
	}
}

// processes finds what belongs to this engine: the daemons and the shims of
// containers name its sockets or files in their arguments, and containers run
// in its control groups.
func (e *engine) processes(program string) []int {
	var pids []int
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		raw, err := os.ReadFile(file)
		if err != nil || !(bytes.Contains(raw, []byte(e.run+"/")) || bytes.Contains(raw, []byte(e.data+"/"))) {
			continue
		}
		name, _, _ := strings.Cut(string(raw), "\x00")
		known := slices.ContainsFunc([]string{"dockerd", "containerd", "containerd-shim", "runc", "docker-proxy"}, func(p string) bool {
			return strings.HasPrefix(filepath.Base(name), p)
		})
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && known && !ended(pid) && (program == "" || filepath.Base(name) == program) {
			pids = append(pids, pid)
		}
	}
	if program == "" {
		pids = append(pids, e.contained()...)
	}
	return pids
}

// contained finds the processes of containers, which outlive daemons that are
// killed.
func (e *engine) contained() []int {
	var pids []int
	for _, dir := range controlGroups(e.cgroup()) {
		raw, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for _, field := range strings.Fields(string(raw)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !ended(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// shimSockets lists the sockets of running containers' shims. They lie outside
// the engine's directories, and a shim that is killed leaves its own.
func (e *engine) shimSockets() []string {
	var sockets []string
	files, _ := filepath.Glob(filepath.Join(e.run, "containerd", "io.containerd.runtime.v2.task", "*", "*", "address"))
	for _, file := range files {
		raw, _ := os.ReadFile(file)
		if path, ok := strings.CutPrefix(strings.TrimSpace(string(raw)), "unix://"); ok && strings.HasPrefix(path, "/run/containerd/s/") {
			sockets = append(sockets, path)
		}
	}
	return sockets
}

// ended reports a process that has ended, whether or not its parent noticed.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, found := bytes.Cut(stat, []byte(") "))
	return err != nil || !found || bytes.HasPrefix(rest, []byte("Z"))
}

// unmount lets go of every mount below the engine's directories, inner first.
func (e *engine) unmount() error {
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	lines := strings.Split(string(raw), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) > 1 && (strings.HasPrefix(fields[1], e.run+"/") || strings.HasPrefix(fields[1], e.data+"/")) {
			if err := unix.Unmount(fields[1], unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
				errs = append(errs, fmt.Errorf("unmount %s: %w", fields[1], err))
			}
		}
	}
	return errors.Join(errs...)
}

// removeBridges deletes the bridges that the engine left. Without the list of
// its networks they are known from their files.
func (e *engine) removeBridges(bridges []string) error {
	saved, _ := os.ReadFile(filepath.Join(e.data, "docker", "network", "files", "local-kv.db"))
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range interfaces {
		id, isBridge := strings.CutPrefix(i.Name, "br-")
		ours := slices.Contains(bridges, i.Name) || len(id) == 12 && bytes.Contains(saved, []byte(id))
		if !isBridge || !ours {
			continue
		}
		if out, err := exec.Command(find("ip"), "link", "delete", i.Name).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("delete bridge %s: %w: %s", i.Name, err, out))
		}
	}
	return errors.Join(errs...)
}

// controlGroups lists a control group and those in it, outer first, in every
// hierarchy: cgroup v1 has one for each resource, v2 one for all.
func controlGroups(name string) []string {
	var dirs []string
	tops, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	for _, top := range append(tops, "/sys/fs/cgroup/"+name) {
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	return dirs
}

// removeControlGroups removes control groups that have no processes any more,
// inner first.
func removeControlGroups(name string) error {
	var errs []error
	for _, dir := range slices.Backward(controlGroups(name)) {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove control group %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

// sweep takes away the engines of testenvs that were killed.
func (e *engine) sweep() error {
	left, _ := filepath.Glob(filepath.Join(e.dir, "engines", "run-*"))
	var errs []error
	for _, data := range left {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(data), "run-"))
		if err == nil && ended(pid) {
			errs = append(errs, newEngine(e.dir, filepath.Base(data), e.group).stop())
		}
	}
	return errors.Join(errs...)
}

// interfacePrefixes lists the networks that the machine's interfaces are in.
func interfacePrefixes() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

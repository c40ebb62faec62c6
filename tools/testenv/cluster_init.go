package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where the node has its things, in its own mount namespace: paths short enough
// for sockets, whatever those of the machine are.
const (
	nodeTools  = "/run/tools"
	containerd = "/run/containerd/containerd.sock"
)

// sysctls are what the kubelet sets for the whole machine unless it finds it so.
var sysctls = map[string]string{
	"kernel/keys/root_maxbytes": "25000000",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
}

// initNode is the first process of the cluster's namespaces: it makes the mounts,
// starts the part that runs the cluster, takes in orphans, and ends with that part.
func initNode(data, tools string, args []string) error {
	if os.Getpid() != 1 {
		return errors.New("cluster init is for testenv itself: use cluster run")
	}
	if err := mountNode(data, tools); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	child, err := os.StartProcess("/proc/self/exe", append([]string{"testenv", "cluster", "node"}, args...), &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return err
	}
	// Whoever reads it learns from its end that the cluster has ended.
	_ = os.Stdout.Close()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait: %w", err)
		}
		if pid == child.Pid {
			os.Exit(max(status.ExitStatus(), 1))
		}
	}
}

// mountNode gives the node its own /proc, /run, /var/lib and /var/log, and hides
// the machine's settings from it. The mounts go with the namespace.
func mountNode(data, tools string) error {
	// What the machine mounts and unmounts later is so here; not the reverse.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	// Opened first: a directory may lie below one that is about to be covered.
	binds := map[string]*os.File{}
	for target, source := range map[string]string{
		"/var/lib": filepath.Join(data, "lib"), "/var/log": filepath.Join(data, "log"), nodeTools: tools,
		"/run/cluster": data,
	} {
		dir, err := os.Open(source)
		if err != nil {
			return err
		}
		defer dir.Close()
		binds[target] = dir
	}
	err := errors.Join(
		unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""),
		unix.Mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"),
	)
	if err != nil {
		return err
	}
	for target, dir := range binds {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprint("/proc/self/fd/", dir.Fd()), target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return coverSysctls()
}

// coverSysctls puts files in the place of settings, which read as the kubelet
// wants them.
func coverSysctls() error {
	for name, value := range sysctls {
		file := path.Join("/run/sysctl", strings.ReplaceAll(name, "/", "."))
		err := errors.Join(os.MkdirAll("/run/sysctl", 0o755), os.WriteFile(file, []byte(value+"\n"), 0o644))
		if err == nil {
			err = unix.Mount(file, "/proc/sys/"+name, "", unix.MS_BIND, "")
		}
		if err != nil {
			return fmt.Errorf("cover %s: %w", name, err)
		}
	}
	return nil
}

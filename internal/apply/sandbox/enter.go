package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limits bound what a sandboxed program may use. All fields are required.
type Limits struct {
	// Memory is the most data the process may hold, in bytes. It counts
	// writable private memory (RLIMIT_DATA): the address space that Go reserves
	// without using it does not count, which an address space limit would.
	Memory uint64
	// CPUSeconds of user and system time, over all threads; then SIGKILL.
	CPUSeconds uint64
}

const (
	// maxFiles is what the Go runtime needs (three streams, epoll, an event
	// descriptor) and a little more.
	maxFiles = 16
	// maxTasks bounds threads. For root's children it counts all tasks of user
	// 65534 on the machine, so it leaves room for daemons that share that id.
	maxTasks = 512
)

// Enter turns the calling process, started through [Prepare], into a confined
// one. It must be called before any input is read. On error the process is
// half confined and must end.
func Enter(l Limits) error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"check namespaces", checkNamespaces},
		{"empty the root directory", emptyRoot},
		{"drop privileges", dropPrivileges},
		{"set limits", func() error { return setLimits(l) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("sandbox: %s: %w", s.name, forbidden(err))
		}
	}
	return nil
}

// forbidden explains a refusal by a security module, which lets namespaces be
// made and then forbids their use.
func forbidden(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return Explain(err)
	}
	return err
}

// checkNamespaces keeps a program that was started by hand from emptying the
// root directory of the machine: only the first process of a PID namespace in
// a network namespace without a network goes on.
func checkNamespaces() error {
	if os.Getpid() != 1 {
		return errors.New("not started in namespaces of its own; this task is started by the agent or the publisher")
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp != 0 {
			return fmt.Errorf("network device %s is up", i.Name)
		}
	}
	return nil
}

// emptyRoot makes an empty, read-only file system the root and lets go of the
// old one. /proc is only a place that surely exists to mount on.
func emptyRoot() error {
	const place = "/proc"
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("sandbox", place, "tmpfs", flags, "size=4k,nr_inodes=1,mode=0555"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	if err := unix.Chdir(place); err != nil {
		return err
	}
	// With both arguments the same directory, the old root ends up on top of
	// the new one, from where it can be taken off (pivot_root(2), NOTES).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, ""); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	return unix.Chdir("/")
}

// dropPrivileges becomes nobody, for good. The calls reach all threads of the
// process: the syscall package sees to it for ids, threads.go for the rest.
func dropPrivileges() error {
	if os.Getuid() == 0 {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("setgroups: %w", err)
		}
		if err := syscall.Setresgid(nobody, nobody, nobody); err != nil {
			return fmt.Errorf("setresgid: %w", err)
		}
		if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
			return fmt.Errorf("setresuid: %w", err)
		}
	}
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	if err := setNoNewPrivs(); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if os.Getuid() != nobody || os.Getgid() != nobody {
		return fmt.Errorf("user %d, group %d after dropping privileges", os.Getuid(), os.Getgid())
	}
	return nil
}

// setLimits is the last step, since a limit on tasks counts against the user
// that the process has become.
func setLimits(l Limits) error {
	limits := []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_DATA, l.Memory},
		{unix.RLIMIT_CPU, l.CPUSeconds},
		{unix.RLIMIT_NOFILE, maxFiles},
		{unix.RLIMIT_NPROC, maxTasks},
		{unix.RLIMIT_FSIZE, 0},
		{unix.RLIMIT_CORE, 0},
	}
	for _, r := range limits {
		// Both limits alike: past a lower soft limit on CPU time the kernel would
		// send a signal that the Go runtime ignores.
		both := unix.Rlimit{Cur: r.value, Max: r.value}
		if err := unix.Setrlimit(r.resource, &both); err != nil {
			return fmt.Errorf("resource %d: %w", r.resource, err)
		}
	}
	Collect()
	debug.SetMemoryLimit(int64(l.Memory / 4 * 3)) // collect before the kernel says no
	return nil
}

// Collect has the garbage of a process that lives for one render collected late: its
// heap is small, and to go through it once in a few megabytes is a third of the work.
// The limit of memory holds all the same.
func Collect() { debug.SetGCPercent(400) }

// Package sandbox locks a program of ours into an empty room before it reads
// what a stranger wrote.
//
// A template engine or a parser of somebody else's format is the easiest part
// of a device to attack, and it needs nothing of the machine: bytes in, bytes
// out. So it runs in a process of its own that has
//
//   - new mount, PID, network, IPC and UTS namespaces, and a new user namespace
//     when the parent is not root: no other process, no network device but an
//     idle loopback, no abstract socket;
//   - an empty read-only root file system, so no engine socket and no file;
//   - the user and group 65534, no capability, no_new_privs;
//   - limits on memory, CPU time, files and threads, and no way to write a file.
//
// The parent calls [Prepare] on the command before it starts it: namespaces
// have to be there from the start, since a running Go program has threads and
// cannot change them. The child calls [Enter] first of all, before it reads its
// input; from then on it has its three standard streams and nothing else.
//
// There is no way to run without: when the kernel lacks or forbids a part, the
// error says which, and [Explain] how to allow it.
//
// What it is not: a second kernel. A kernel bug reachable by ordinary system
// calls leaves the room; there is no system call filter yet.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is the user and group inside: the kernel's overflow id, which owns
// nothing on a Linux system.
const nobody = 65534

// namespaces that every sandbox has. A user namespace comes on top when the
// parent is not root and so could make none of these.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// Prepare makes cmd start in namespaces of its own with an empty environment.
// The program must call [Enter] before anything else.
func Prepare(cmd *exec.Cmd) { prepare(cmd, os.Geteuid(), os.Getegid()) }

func prepare(cmd *exec.Cmd, uid, gid int) {
	cmd.Env = []string{}
	cmd.Dir = "/"
	attr := &syscall.SysProcAttr{Cloneflags: namespaces}
	if uid != 0 {
		// An ambient capability survives the exec of a program by a user that is
		// not root; Enter needs this one to change mounts, and then drops it.
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	cmd.SysProcAttr = attr
}

// Explain adds to an error from starting or confining a prepared command what
// the kernel lacks or forbids, as far as the error tells.
func Explain(err error) error {
	var hint string
	switch {
	case errors.Is(err, unix.ENOSPC):
		hint = "the limit user.max_user_namespaces (or another max_*_namespaces) is reached or 0"
	case errors.Is(err, unix.EINVAL):
		hint = "the kernel was built without one of CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, CONFIG_IPC_NS, CONFIG_UTS_NS"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		hint = "new namespaces are forbidden: run as root, or allow unprivileged user namespaces (kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0), or drop RestrictNamespaces= from the service"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}

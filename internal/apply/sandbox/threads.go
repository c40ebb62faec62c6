package sandbox

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The Go runtime moves a process between threads as it likes, and Linux keeps
// capabilities and no_new_privs per thread. Both are therefore changed through
// AllThreadsSyscall, which the runtime can offer only to programs without C
// code, since it does not know the threads of that.

// dropCapabilities empties the permitted, effective and inheritable sets, and
// with them the ambient one.
func dropCapabilities() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none[0])), 0)
	return threadsError(errno)
}

// setNoNewPrivs keeps any later exec from gaining privileges.
func setNoNewPrivs() error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	return threadsError(errno)
}

func threadsError(errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errors.New("this program was built with cgo; build it with CGO_ENABLED=0")
	default:
		return errno
	}
}

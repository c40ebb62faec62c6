package world

import (
	"fmt"
	"syscall"
)

// freeAddress is a loopback address for the registry of an agent. The port stays
// bound, without listening, until the test ends: the kernel then gives it to
// nobody who asks for just any port, and to an agent that asks for it by number.
func freeAddress(w *World) string {
	w.T.Helper()
	address, release, err := reserveAddress()
	w.Must(err)
	w.T.Cleanup(release)
	return address
}

func reserveAddress() (address string, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("reserve a port: %w", err)
	}
	release = func() { _ = syscall.Close(fd) }
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var at syscall.Sockaddr
	if err == nil {
		at, err = syscall.Getsockname(fd)
	}
	if err != nil {
		release()
		return "", nil, fmt.Errorf("reserve a port: %w", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port), release, nil
}

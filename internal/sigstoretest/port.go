package sigstoretest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// port is a loopback port that is ours until it is closed.
type port struct {
	number int
	socket int
}

// reserve has the kernel choose a port and keeps it: the socket stays bound and
// never listens. The kernel gives a bound port neither to another ":0" nor to an
// outgoing connection, while a server that sets SO_REUSEADDR, as every listener
// of Go's does, can bind it too as long as nobody listens there. So no other
// process can come between the choice and the server's start.
func reserve() (port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return port{}, fmt.Errorf("reserve a port: %w", err)
	}
	number, err := bind(socket)
	if err != nil {
		_ = unix.Close(socket)
		return port{}, fmt.Errorf("reserve a port: %w", err)
	}
	return port{number, socket}, nil
}

func bind(socket int) (int, error) {
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		return 0, err
	}
	return name.(*unix.SockaddrInet4).Port, nil
}

func (p port) close() { _ = unix.Close(p.socket) }

// address is "127.0.0.1:PORT".
func (p port) address() string { return fmt.Sprint("127.0.0.1:", p.number) }

// url is the base URL of a server on the port.
func (p port) url() string { return "http://" + p.address() }

func (p port) String() string { return fmt.Sprint(p.number) }

package sigstoretest

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReservedPortIsOurs: a socket that does not set SO_REUSEADDR, like one that
// asks the kernel for a port, does not get it; a server of Go's can listen on it.
func TestReservedPortIsOurs(t *testing.T) {
	p, err := reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	other, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if err := unix.Bind(other, &unix.SockaddrInet4{Port: p.number, Addr: [4]byte{127, 0, 0, 1}}); !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("the port is not kept: %v", err)
	}
	for range 2 {
		l, err := net.Listen("tcp", p.address())
		if err != nil {
			t.Fatalf("a server cannot listen on it: %v", err)
		}
		conn, err := net.Dial("tcp", p.address())
		if err != nil {
			t.Fatalf("a client does not reach the server: %v", err)
		}
		_ = conn.Close()
		_ = l.Close()
	}
}

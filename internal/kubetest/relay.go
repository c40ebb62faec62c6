package kubetest

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// relayVariable has this program, started once more in the node's network, be the
// node's end of a relay.
const relayVariable = "CONSIGN_TEST_RELAY"

func init() {
	if port := os.Getenv(relayVariable); port != "" {
		relay(port, os.Getenv(relayVariable+"_SOCKET"))
		os.Exit(0)
	}
}

// relay takes connections at a port of the node's loopback and hands them to a
// socket of the machine's files, until its input ends.
func relay(port, socket string) {
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	go hand(l, func() (net.Conn, error) { return net.Dial("unix", socket) })
	_, _ = os.Stdout.WriteString("ready\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// hand joins each connection that l takes with a new one.
func hand(l net.Listener, dial func() (net.Conn, error)) {
	for {
		in, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go join(in, dial)
	}
}

func join(in net.Conn, dial func() (net.Conn, error)) {
	defer in.Close()
	out, err := dial()
	if err != nil {
		return
	}
	defer out.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}

// Forward has a port of the node's loopback be the same port of the machine's, so
// that an agent of a test serves the node as one that runs on it would.
func Forward(t testing.TB, port string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "relay-") // short enough for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go hand(l, func() (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+port) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), relayVariable+"="+port, relayVariable+"_SOCKET="+socket)
	InNode(t, cmd)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatalf("relay of port %s in the node: %v", port, err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		_ = l.Close()
		_ = os.RemoveAll(dir)
	})
}

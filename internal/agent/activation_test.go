package agent

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestInheritedSocket starts itself as a service manager would: with a listener
// as descriptor 3 and the process's own id in LISTEN_PID, which the shell knows.
func TestInheritedSocket(t *testing.T) {
	if want := os.Getenv("CONSIGN_TEST_INHERIT"); want != "" {
		l, err := inherited(want)
		fmt.Printf("listener %t, error %v\n", l != nil, err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, tt := range []struct{ pid, fds, address, says string }{
		{"$$", "1", l.Addr().String(), "listener true, error <nil>"},
		{"1", "1", l.Addr().String(), "listener false, error <nil>"}, // meant for another process
		{"$$", "1", "127.0.0.1:1", "make the two the same"},
		{"$$", "2", l.Addr().String(), "one is expected"},
		{"$$", "", l.Addr().String(), "one is expected"},
	} {
		cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=`+tt.pid+` exec "$0" -test.run '^TestInheritedSocket$'`, os.Args[0])
		cmd.Env = append(os.Environ(), "CONSIGN_TEST_INHERIT="+tt.address, "LISTEN_FDS="+tt.fds)
		cmd.ExtraFiles = []*os.File{f}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.says) {
			t.Errorf("pid %s, %q sockets, address %s: %v, %s; want %q", tt.pid, tt.fds, tt.address, err, out, tt.says)
		}
	}
}

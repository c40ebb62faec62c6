package agent

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstInherited is the first file descriptor that a service manager hands over
// (systemd, sd_listen_fds(3)).
const firstInherited = 3

// inherited returns the listener that a service manager holds open for address,
// nil when it holds none. Held there, the port belongs to this service before
// the agent starts and while it is replaced, so nothing else can take it.
func inherited(address string) (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n != 1 {
		return nil, fmt.Errorf("the service manager hands over %q sockets (LISTEN_FDS), one is expected: %s", os.Getenv("LISTEN_FDS"), address)
	}
	f := os.NewFile(firstInherited, "inherited socket")
	// The copy that FileListener makes is closed on exec; this one is not, and
	// would reach the appliers.
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the service manager's socket: %w", err)
	}
	if got := l.Addr().String(); got != address {
		_ = l.Close()
		return nil, fmt.Errorf("the service manager's socket is on %s, registryAddress of the configuration is %s: make the two the same", got, address)
	}
	return l, nil
}

package agent

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/agent/doctor"
)

// maxSockets bounds what is read of the kernel's list of sockets.
const maxSockets = 16 << 20

// portOf says who listens on a loopback address, from the kernel's lists: no
// connection is made, and the port is never taken for a moment.
func portOf(address string) doctor.Port {
	p := doctor.Port{Address: address}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		p.Err = err
		return p
	}
	var sockets []string
	for _, list := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		found, err := socketsIn(list, port)
		if err != nil && !os.IsNotExist(err) { // a kernel without IPv6
			p.Err = err
			return p
		}
		sockets = append(sockets, found...)
	}
	p.Taken = len(sockets) > 0
	if p.Taken {
		p.Holders = holdersOf(sockets)
	}
	return p
}

func socketsIn(path, port string) ([]string, error) {
	list, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	sockets, err := listening(io.LimitReader(list, maxSockets), port)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sockets, nil
}

// listening returns the inodes of the sockets that take connections to
// 127.0.0.1:port: bound to it, or to every address (proc_pid_net(5)). Addresses
// are in the byte order of the machine.
func listening(list io.Reader, port string) ([]string, error) {
	const listens, stateAt, inodeAt = "0A", 3, 9
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	hosts := []string{"0100007F", "7F000001", strings.Repeat("0", 8), strings.Repeat("0", 32)}
	var out []string
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) <= inodeAt || f[stateAt] != listens {
			continue
		}
		host, p, _ := strings.Cut(f[1], ":")
		if p == fmt.Sprintf("%04X", n) && slices.Contains(hosts, host) {
			out = append(out, f[inodeAt])
		}
	}
	return out, lines.Err()
}

// holdersOf looks for the processes that have a socket open. Those of other
// users are seen by root only.
func holdersOf(sockets []string) []doctor.Process {
	var out []doctor.Process
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, file := range files {
		link, err := os.Readlink(file)
		if err != nil || !slices.Contains(sockets, strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err == nil && !slices.ContainsFunc(out, func(p doctor.Process) bool { return p.PID == pid }) {
			out = append(out, doctor.Process{PID: pid, Name: nameOf(pid)})
		}
	}
	return out
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

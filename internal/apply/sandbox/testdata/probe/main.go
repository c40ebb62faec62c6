// Probe is what the tests of the sandbox run inside it: it enters as an
// applier program does, then tries what its arguments say and prints what
// happened as JSON. With "launch" first it is the parent: it starts itself,
// prepared, with the remaining arguments.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/apply/sandbox"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "launch" {
		launch(os.Args[2:])
		return
	}
	limits := sandbox.Limits{Memory: 256 << 20, CPUSeconds: 2}
	if slices.Contains(os.Args[1:], "memory") {
		limits.CPUSeconds = 30 // pages cost time, too, and more of it on a busy machine
	}
	if err := sandbox.Enter(limits); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	results := map[string]string{}
	for _, arg := range os.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		results[arg] = try(name, value)
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		os.Exit(4)
	}
}

func launch(args []string) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	sandbox.Prepare(cmd)
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, sandbox.Explain(err))
		os.Exit(5)
	}
}

func try(name, value string) string {
	switch name {
	case "dial":
		network, address, _ := strings.Cut(value, ",")
		conn, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			conn.Close()
		}
		return outcome(err)
	case "listen":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err.Error()
		}
		defer l.Close()
		_, err = net.DialTimeout("tcp", l.Addr().String(), time.Second)
		return outcome(err)
	case "read":
		_, err := os.ReadFile(value)
		return outcome(err)
	case "write":
		return outcome(os.WriteFile(value, []byte("x"), 0o600))
	case "exec":
		return outcome(exec.Command(value).Run())
	case "mount":
		return outcome(unix.Mount("x", "/", "tmpfs", 0, ""))
	case "setuid":
		return outcome(unix.Setuid(0))
	case "state":
		return state()
	case "memory":
		return memoryBomb()
	case "cpu":
		return cpuBomb()
	default:
		return "unknown attempt"
	}
}

func outcome(err error) string {
	if err != nil {
		return "refused: " + err.Error()
	}
	return "succeeded"
}

// state describes the process; a file left in the root directory shows, too.
func state() string {
	entries, err := os.ReadDir("/")
	nnp, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	capErr := unix.Capget(&hdr, &caps[0])
	groups, groupErr := os.Getgroups()
	return fmt.Sprintf("uid=%d gid=%d groups=%d pid=%d env=%d files=%d nnp=%d caps=%x err=%v",
		os.Geteuid(), os.Getegid(), len(groups), os.Getpid(), len(os.Environ()), len(entries), nnp, caps[0].Permitted|caps[1].Permitted|caps[0].Effective, firstError(err, capErr, groupErr))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func memoryBomb() string {
	var hold [][]byte
	for {
		block := make([]byte, 8<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		hold = append(hold, block)
		if len(hold) > 512 {
			return "succeeded"
		}
	}
}

func cpuBomb() string {
	for range runtime.NumCPU() {
		go func() {
			for n := 0; ; n++ {
				_ = n
			}
		}()
	}
	time.Sleep(20 * time.Second)
	return "succeeded"
}

//go:build faults

package fault

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Variable is the environment variable that arms a fault. Its value is
// "point[:count[:action]]": the count-th time (from 1, default 1) that the
// named point is passed, the action happens: "kill" (default) ends the
// process with SIGKILL, "error" makes Point return an error, "stall" sleeps
// for an hour. "full" is a full disk: from then on every passage returns ENOSPC.
// The point "*" counts every point, "room" those of operations that take room
// on the disk.
// CONSIGN_FAULT_TRACE names a file that receives one line per point passed.
const Variable = "CONSIGN_FAULT"

var (
	mu     sync.Mutex
	passed int
)

// Point is passed before the operation that it names.
func Point(name string) error {
	mu.Lock()
	defer mu.Unlock()
	trace(name)
	point, count, action := parse(os.Getenv(Variable))
	if point == "" || !matches(point, name) {
		return nil
	}
	passed++
	if passed < count || passed > count && action != "full" {
		return nil
	}
	switch action {
	case "full":
		return fmt.Errorf("injected fault at %s: %w", name, syscall.ENOSPC)
	case "error":
		return fmt.Errorf("injected fault at %s", name)
	case "stall":
		time.Sleep(time.Hour)
		return nil
	default:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func matches(point, name string) bool {
	switch point {
	case "*":
		return true
	case "room":
		return slices.Contains([]string{"durable.mkdir", "durable.create", "durable.write", "durable.append", "durable.link"}, name)
	default:
		return point == name
	}
}

func parse(v string) (point string, count int, action string) {
	parts := strings.SplitN(v, ":", 3)
	point, count, action = parts[0], 1, "kill"
	if len(parts) > 1 {
		if n, err := strconv.Atoi(parts[1]); err == nil {
			count = n
		}
	}
	if len(parts) > 2 {
		action = parts[2]
	}
	return point, count, action
}

func trace(name string) {
	path := os.Getenv("CONSIGN_FAULT_TRACE")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, name)
}

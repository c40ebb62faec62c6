package world

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// ports are those that this process gave out.
var ports = struct {
	sync.Mutex
	given map[int]bool
}{given: map[int]bool{}}

// FreePort returns a loopback port that nobody listens on, never the same twice.
// It lies below those that the kernel gives to ":0" and to outgoing connections
// (32768 and up), which would otherwise take it before its user does.
func FreePort(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		port := 15000 + rand.IntN(17000)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		ports.given[port] = true
		return fmt.Sprint(port)
	}
	t.Fatal("no free port between 15000 and 32000")
	return ""
}

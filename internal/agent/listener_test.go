package agent

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestPortIsSeenWithItsHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	p := portOf(address)
	if p.Err != nil || !p.Taken || len(p.Holders) != 1 || p.Holders[0].PID != os.Getpid() || p.Holders[0].Name == "" {
		t.Errorf("%+v, want this process, %d", p, os.Getpid())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if p := portOf(address); p.Taken || p.Err != nil {
		t.Errorf("after it was closed: %+v", p)
	}
}

// 5127 is 0x1407: on loopback, on every address of either family; not on
// another address, not a connection, not another port.
func TestListening(t *testing.T) {
	const list = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1407 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0
   1: 00000000:1407 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0
   2: 00000000000000000000000000000000:1407 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0
   3: 0A00000A:1407 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0
   4: 0100007F:1407 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 15 1 0
   5: 0100007F:1408 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16 1 0
   6: short
`
	got, err := listening(strings.NewReader(list), "5127")
	if want := []string{"11", "12", "13"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

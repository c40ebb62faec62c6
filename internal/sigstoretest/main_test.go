package sigstoretest_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/consign-dev/consign/internal/sigstoretest"
)

// held, in the environment, makes this test binary start a stack and hold it
// until it is killed.
const held = "CONSIGN_SIGSTORETEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(held) != "" {
		hold()
	}
	code := m.Run()
	if err := sigstoretest.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// hold prints the process ids of a stack, one a line, then an empty line.
func hold() {
	s, err := sigstoretest.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, pid := range s.PIDs() {
		fmt.Println(pid)
	}
	fmt.Println()
	select {}
}

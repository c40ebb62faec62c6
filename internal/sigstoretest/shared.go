package sigstoretest

import (
	"errors"
	"sync"
	"testing"
)

// shared is the stack of this test package.
var shared struct {
	sync.Mutex
	stack  *Stack
	err    error
	closed bool
}

// Shared is the stack that the tests of a package have in common, started by the
// first that asks. A test that fails prints the end of the servers' logs. TestMain
// calls Close.
func Shared(t testing.TB) *Stack {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Logs())
		}
	})
	return s
}

func open() (*Stack, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.closed {
		return nil, errors.New("the shared Sigstore was closed")
	}
	// One attempt: what stops it once stops it again.
	if shared.stack == nil && shared.err == nil {
		shared.stack, shared.err = Start()
	}
	return shared.stack, shared.err
}

// Close stops the shared stack, if a test started it.
func Close() error {
	shared.Lock()
	defer shared.Unlock()
	shared.closed = true
	if shared.stack == nil {
		return nil
	}
	return shared.stack.Stop()
}

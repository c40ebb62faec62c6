package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process, or another part of this one, holds the
// lock.
var ErrLocked = errors.New("locked by another process")

// Lock is an advisory lock (flock) on a file. The kernel releases it when the
// process ends, however it ends, so a crash never leaves a stale lock. The
// file itself stays: removing it would let two processes lock two files of one
// name.
type Lock struct{ f *os.File }

// TryLock takes the lock on path, creating the file when needed, or returns
// [ErrLocked] at once, with the id of the process that holds it if that can be
// seen.
func TryLock(path string) (*Lock, error) {
	f, err := openRegular(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return &Lock{f}, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		// Whom to wait for, or to end, where it can be seen.
		if pid, _, err := Holder(path); err == nil && pid > 0 {
			return nil, fmt.Errorf("lock %s: %w, %d", path, ErrLocked, pid)
		}
		return nil, fmt.Errorf("lock %s: %w", path, ErrLocked)
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// Unlock releases the lock. To close the file is not enough: a program that this
// process is just starting has it open, too, until it is executed.
func (l *Lock) Unlock() error {
	return errors.Join(unix.Flock(int(l.f.Fd()), unix.LOCK_UN), l.f.Close())
}

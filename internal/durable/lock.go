package durable

import (
	"errors"
	"fmt"
	"os"
	"time"

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

// A program that its starter was just starting when that was killed has the starter's
// lock open, too, until it is executed: a moment, on a busy machine some of them.
const (
	startingTries = 100
	startingPause = 50 * time.Millisecond
)

// TryLock takes the lock on path, creating the file when needed, or returns
// [ErrLocked], with the id of the process that holds it if that can be seen: at once
// if that process is there, else after some seconds.
func TryLock(path string) (*Lock, error) {
	for try := 1; ; try++ {
		lock, holder, err := tryLock(path)
		if !errors.Is(err, ErrLocked) || alive(holder) || try == startingTries {
			return lock, err
		}
		time.Sleep(startingPause)
	}
}

// tryLock returns with ErrLocked the holder, 0 if it cannot be seen.
func tryLock(path string) (lock *Lock, holder int, err error) {
	f, err := openRegular(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return &Lock{f}, 0, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		// Whom to wait for, or to end, where it can be seen.
		if pid, _, err := Holder(path); err == nil && pid > 0 {
			return nil, pid, fmt.Errorf("lock %s: %w, %d", path, ErrLocked, pid)
		}
		return nil, 0, fmt.Errorf("lock %s: %w", path, ErrLocked)
	}
	return nil, 0, fmt.Errorf("lock %s: %w", path, err)
}

// alive reports whether a process is there; 0 is one that has ended, or one of a
// place that cannot be seen from here (proc_locks(5)).
func alive(pid int) bool { return pid > 0 && !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// Unlock releases the lock. To close the file is not enough: a program that this
// process is just starting has it open, too, until it is executed.
func (l *Lock) Unlock() error {
	return errors.Join(unix.Flock(int(l.f.Fd()), unix.LOCK_UN), l.f.Close())
}

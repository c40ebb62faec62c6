package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLocks bounds what is read of the kernel's list of locks.
const maxLocks = 4 << 20

// Holder says which process holds the [Lock] on path: its id, 0 if it cannot be
// seen from this PID namespace. held is false when nobody holds it or the file
// is not there. It reads the kernel's list and never touches the lock, which
// would make a process that starts in that moment believe that it is taken.
func Holder(path string) (pid int, held bool, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	} else if err != nil {
		return 0, false, fmt.Errorf("look at lock %s: %w", path, err)
	}
	list, err := os.Open("/proc/locks")
	if err != nil {
		return 0, false, fmt.Errorf("look at lock %s: %w", path, err)
	}
	defer list.Close()
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	pid, held, err = findLock(io.LimitReader(list, maxLocks), file)
	if err != nil {
		return 0, false, fmt.Errorf("look at lock %s: %w", path, err)
	}
	return pid, held, nil
}

// findLock reads lines of the form "1: FLOCK  ADVISORY  WRITE 712 fe:00:10 0 EOF"
// (proc_locks(5)); a line with "->" is of a process that waits.
func findLock(list io.Reader, file string) (pid int, held bool, err error) {
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != file {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		if err != nil {
			return 0, false, fmt.Errorf("/proc/locks: %q: %w", lines.Text(), err)
		}
		return max(pid, 0), true, nil
	}
	return 0, false, lines.Err()
}

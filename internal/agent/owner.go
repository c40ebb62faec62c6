package agent

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/consign-dev/consign/internal/durable"
)

// checkOwner refuses a file or directory that anyone but root and this program's
// user could have changed (attack D13): what it says would be another one's word.
func checkOwner(path string, info fs.FileInfo) error {
	sys, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode(); {
	case !ok:
		return fmt.Errorf("%s: its owner is not known", path)
	case sys.Uid != 0 && int(sys.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, want root or user %d, as whom this runs: run 'chown %d %s'", path, sys.Uid, os.Geteuid(), os.Geteuid(), path)
	case info.IsDir() && mode&os.ModeSticky != 0: // others cannot replace what is ours in it
		return nil
	case mode.Perm()&0o002 != 0 || mode.Perm()&0o020 != 0 && sys.Gid != 0 && int(sys.Gid) != os.Getegid():
		return fmt.Errorf("%s has mode %04o, so that others can change it: run 'chmod go-w %s'", path, mode.Perm(), path)
	}
	return nil
}

// checkDirOwner is checkOwner of the directory of this path, a link being no
// directory.
func checkDirOwner(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return checkOwner(path, info)
}

// readOurs reads a file that nobody but root and this program's user could have
// written, or have put into its directory.
func readOurs(path string, max int64) ([]byte, error) {
	return durable.ReadVouched(path, max, checkOwner)
}

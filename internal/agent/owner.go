package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// checkOwner refuses a file or directory that anyone but root and this program's
// user could have changed (attack D13): what it says would be another one's word.
func checkOwner(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
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

// checkFileOwner is checkOwner of a file and of the directory in which it could
// be replaced.
func checkFileOwner(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := checkOwner(path); err != nil {
		return err
	}
	return checkOwner(filepath.Dir(path))
}

package hostdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

// mountedIn has the test program run again, with mounts of its own, in a directory.
const mountedIn = "CONSIGN_TEST_MOUNTED_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(mountedIn); dir != "" {
		if err := withMounts(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Another file system within the directory is neither copied nor emptied.
func TestMountsAreNotEntered(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"here", "beside"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		write(t, filepath.Join(dir, name, "file"), "another's")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{mountedIn + "=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "beside", "file")); err != nil {
		t.Error(err)
	}
}

// withMounts binds dir/beside, of the same file system, over dir/here/mount.
func withMounts(dir string) error {
	here, beside := filepath.Join(dir, "here"), filepath.Join(dir, "beside")
	mount := filepath.Join(here, "mount")
	err := errors.Join(os.Mkdir(mount, 0o700), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount(beside, mount, "", unix.MS_BIND, ""))
	if err != nil {
		return err
	}
	d, err := Open(here)
	if err != nil {
		return err
	}
	ctx := context.Background()
	_, measured := d.Measure(ctx)
	for what, err := range map[string]error{"measure": measured, "archive": d.Archive(ctx, &bytes.Buffer{}), "empty": d.Empty(ctx)} {
		if !reason.Is(err, reason.Rule) {
			return fmt.Errorf("%s: got %w", what, err)
		}
	}
	_, err = os.Stat(filepath.Join(beside, "file"))
	return err
}

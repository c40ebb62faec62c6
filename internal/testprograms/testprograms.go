// Package testprograms builds programs of this module for tests: each once for all
// packages that run it, and not again while it is current.
package testprograms

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Build returns the directory of a set of programs, bin/tests/SET in the checkout
// of the test, and builds what is not there. A program is the
// path of its package from the root of the module, or "path=name"; tag is a build tag
// for all of the set, or "". Builds of a set wait for each other.
func Build(set, tag string, programs ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "tests", set)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("%s: %w", lock.Name(), err)
	}
	for _, p := range programs {
		path, name, _ := strings.Cut(p, "=")
		file := filepath.Join(dir, cmp.Or(name, filepath.Base(path)))
		// Flags as those of make build: Go has most of it then.
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags", strings.Trim("grpcnotrace,"+tag, ","), "-o", file, path)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w: %s", path, err, out)
		}
	}
	return dir, nil
}

// start is where the test began: it may have gone elsewhere since.
var start, errStart = os.Getwd()

// Root is the directory of the checkout: the nearest one that has this package, above
// the directory in which the test began, its package's.
func Root() (string, error) {
	if errStart != nil {
		return "", errStart
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "internal", "testprograms")); missing == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", fmt.Errorf("%s is in no checkout of this module", start)
		}
	}
}

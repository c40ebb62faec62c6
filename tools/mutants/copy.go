package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// checkout is a copy of the tracked files, in which patches come and go.
type checkout struct{ dir string }

func newCopy(ctx context.Context, root string) (*checkout, error) {
	dir, err := os.MkdirTemp("", "consign-mutants-")
	if err != nil {
		return nil, err
	}
	c := &checkout{dir}
	list := exec.CommandContext(ctx, "git", "ls-files", "-z")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		c.remove()
		return nil, fmt.Errorf("list tracked files: %w", err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			c.remove()
			return nil, err
		}
	}
	return c, nil
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil // removed since the last commit, or a link
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

func (c *checkout) remove() { _ = os.RemoveAll(c.dir) }

// passes reports why the tests of a row are of no use to judge a mutant by.
func (c *checkout) passes(ctx context.Context, m mutant) error {
	r, err := c.test(ctx, m)
	switch {
	case err != nil:
		return err
	case r.ran == 0:
		return fmt.Errorf("no test matches %s in %s", m.tests(), strings.Join(m.packages, " "))
	case r.failed > 0 || !r.ok:
		return fmt.Errorf("the tests fail without the patch: %s", r.said)
	}
	return nil
}

// catches applies a patch and returns nil when tests of its row then fail.
func (c *checkout) catches(ctx context.Context, m mutant) error {
	if err := c.apply(ctx, m); err != nil {
		return err
	}
	r, err := c.test(ctx, m)
	if err := c.apply(ctx, m, "-R"); err != nil {
		return err
	}
	switch {
	case err != nil:
		return err
	case r.ok:
		return errors.New("MISSED: the tests pass with the patch")
	case r.failed == 0:
		return fmt.Errorf("the patched program does not build: %s", r.said)
	}
	return nil
}

func (c *checkout) apply(ctx context.Context, m mutant, args ...string) error {
	path, err := filepath.Abs(m.path)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "git", append(append([]string{"apply"}, args...), path)...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(c.dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the patch does not apply: %s", bytes.TrimSpace(out))
	}
	return nil
}

// result is what one run of go test did.
type result struct {
	ran, failed int
	ok          bool
	said        string
}

func (c *checkout) test(ctx context.Context, m mutant) (result, error) {
	if err := c.build(ctx, m); err != nil {
		return result{said: err.Error()}, ctx.Err()
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-count=1", "-timeout", "10m", "-run", m.tests()}, m.packages...)...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "CONSIGN_BIN="+filepath.Join(c.dir, "bin"))
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return result{}, ctx.Err()
	}
	r := readResult(out)
	r.ok = err == nil
	return r, nil
}

// build makes the programs where tests run them.
func (c *checkout) build(ctx context.Context, m mutant) error {
	if !strings.Contains(strings.Join(m.packages, " ")+" ", "./internal/world") {
		return nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", "bin/", "./cmd/publisher", "./cmd/agent", "./cmd/auditor", "./cmd/applier-compose", "./cmd/applier-helm")
	cmd.Dir = c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w: %s", err, out)
	}
	return nil
}

// readResult counts the tests in the output of go test -json, and keeps what the
// last lines say.
func readResult(out []byte) result {
	var r result
	var said []string
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.Output != "" && strings.TrimSpace(e.Output) != "":
			said = append(said, strings.TrimSpace(e.Output))
		case e.Test != "" && e.Action == "run":
			r.ran++
		case e.Test != "" && e.Action == "fail":
			r.failed++
		}
	}
	r.said = strings.Join(said[max(0, len(said)-6):], " | ")
	return r
}

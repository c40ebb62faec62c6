package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program is the client under test, built once.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tuf-client-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "tuf-client")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the client: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// client is one client under test: its directories, and what it is run
// against. It knows of the program what the suite knows: exit code, files and
// requests.
type client struct {
	t                   testing.TB
	repo                *simulator
	metadata, artifacts string
	// clock is the time that the program is told; zero for the real one.
	clock  time.Time
	stderr string
}

func newClient(t testing.TB, repo *simulator) *client {
	t.Helper()
	dir := t.TempDir()
	c := &client{t: t, repo: repo, metadata: filepath.Join(dir, "metadata"), artifacts: filepath.Join(dir, "targets")}
	for _, d := range []string{c.metadata, c.artifacts} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// begin is a new simulator and a client that trusts its first root.
func begin(t *testing.T) (*simulator, *client) {
	t.Helper()
	t.Parallel()
	repo := newSimulator(t)
	c := newClient(t, repo)
	c.mustInit()
	return repo, c
}

// run returns the exit code, which the protocol holds to 0 and 1.
func (c *client) run(args ...string) int {
	c.t.Helper()
	cmd := exec.Command(program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if !c.clock.IsZero() {
		cmd.Env = append(os.Environ(), "PATH="+c.fakeDate()+":"+os.Getenv("PATH"))
	}
	err := cmd.Run()
	c.stderr = stderr.String()
	c.t.Logf("tuf-client %s: %v: %s", strings.Join(args, " "), err, c.stderr)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return 1
	}
	c.t.Fatalf("the client ended with %v, the protocol has 0 and 1", err)
	return 1
}

// fakeDate makes a directory with a date command that tells the client's
// clock: to the program it is what faketime is, which changes the libc of the
// real command.
func (c *client) fakeDate() string {
	c.t.Helper()
	dir := filepath.Join(filepath.Dir(c.metadata), "bin")
	script := fmt.Sprintf("#!/bin/sh\necho %d\n", c.clock.Unix())
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "date"), []byte(script), 0o755)); err != nil {
		c.t.Fatal(err)
	}
	return dir
}

// init hands the root to the client.
func (c *client) init(root []byte) int {
	c.t.Helper()
	file := filepath.Join(filepath.Dir(c.metadata), "initial_root.json")
	if err := os.WriteFile(file, root, 0o644); err != nil {
		c.t.Fatal(err)
	}
	return c.run("--metadata-dir", c.metadata, "init", file)
}

func (c *client) mustInit() {
	c.t.Helper()
	if c.init(c.repo.published["root"][0]) != 0 {
		c.t.Fatal("init failed")
	}
}

func (c *client) refresh() int {
	c.t.Helper()
	return c.run("--metadata-url", c.repo.url+"/metadata/", "--metadata-dir", c.metadata, "refresh")
}

func (c *client) download(targets ...string) int {
	c.t.Helper()
	args := []string{"--metadata-url", c.repo.url + "/metadata/", "--metadata-dir", c.metadata}
	for _, name := range targets {
		args = append(args, "--target-name", name)
	}
	return c.run(append(args, "--target-dir", c.artifacts, "--target-base-url", c.repo.url+"/targets/", "download")...)
}

// mustRefresh refreshes with the exit code wanted.
func (c *client) mustRefresh(want int) {
	c.t.Helper()
	if got := c.refresh(); got != want {
		c.t.Fatalf("refresh: exit code %d, want %d", got, want)
	}
}

func (c *client) mustDownload(want int, targets ...string) {
	c.t.Helper()
	if got := c.download(targets...); got != want {
		c.t.Fatalf("download %q: exit code %d, want %d", targets, got, want)
	}
}

// file returns the client's trusted document of a role, nil if it has none.
func (c *client) file(role string) []byte {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.metadata, role+".json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	return data
}

// trusts asserts which top-level documents the client has, for example
// "root 1, timestamp 2"; delegated ones are only counted, since how a client
// names their files is its own affair: "root 1, ... +1".
func (c *client) trusts(want string) {
	c.t.Helper()
	entries, err := os.ReadDir(c.metadata)
	if err != nil {
		c.t.Fatal(err)
	}
	var top []string
	delegated := 0
	for _, e := range entries {
		role, ok := strings.CutSuffix(e.Name(), ".json")
		if ok && slices.Contains(topLevel, role) {
			top = append(top, fmt.Sprintf("%s %d", role, versionOf(c.t, c.file(role))))
		} else if ok {
			delegated++
		}
	}
	got := strings.Join(top, ", ")
	if delegated > 0 {
		got += fmt.Sprintf(" +%d", delegated)
	}
	if got != want {
		c.t.Errorf("the client trusts %q, want %q", got, want)
	}
}

func versionOf(t testing.TB, data []byte) int64 {
	t.Helper()
	var doc struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Signed.Version
}

// has asserts that the client's files of targets hold these contents and
// no others.
func (c *client) has(want ...string) {
	c.t.Helper()
	var got []string
	err := filepath.WalkDir(c.artifacts, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		got = append(got, string(data))
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Errorf("downloaded %q, want %q", got, want)
	}
}

// contained asserts that nothing lies beside the directories of the client.
func (c *client) contained() {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(c.metadata))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains([]string{"metadata", "targets", "initial_root.json", "bin"}, e.Name()) {
			c.t.Errorf("there is a file %q beside the client's directories", e.Name())
		}
	}
}

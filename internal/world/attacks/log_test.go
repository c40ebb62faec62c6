package attacks

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/auditor"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

func logOf(d *world.Recorded) string { return filepath.Join(d.Config.StateDir, "log") }

// checkpoint is what an auditor keeps of a log.
func (s *site) checkpoint(d *world.Recorded) []byte {
	s.T.Helper()
	data, err := os.ReadFile(filepath.Join(logOf(d), "checkpoint"))
	s.Must(err)
	return data
}

func (s *site) audit(d *world.Recorded, since []byte) (audit.Report, error) {
	return audit.Verify(s.Context(), logOf(d), d.LogKey, since, nil)
}

// TestAttackD6LogCutShort: the log as it was some events ago, with the checkpoint
// that it had then, is found out by whoever kept a later checkpoint; also after
// the device has gone on writing.
func TestAttackD6LogCutShort(t *testing.T) {
	s := fresh(t)
	var older []string
	for range 4 {
		older = append(older, filepath.Join(s.Dir, fmt.Sprint("log-", len(older))))
		s.Must(world.CopyTree(logOf(s.D), older[len(older)-1]))
		s.Recovers(t)
	}
	kept, whole := s.checkpoint(s.D), filepath.Join(s.Dir, "whole")
	if _, err := s.audit(s.D, kept); err != nil {
		t.Fatalf("the whole log: %v", err)
	}
	s.Must(os.Rename(logOf(s.D), whole))
	for n, cut := range older {
		s.Must(world.CopyTree(cut, logOf(s.D)))
		if _, err := s.audit(s.D, nil); err != nil {
			t.Errorf("log %d alone, as nobody can know better: %v", n, err)
		}
		if _, err := s.audit(s.D, kept); !audit.IsTampering(err) || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("log %d, cut short: %v", n, err)
		}
		for range 3 {
			s.Recovers(t)
		}
		if _, err := s.audit(s.D, kept); !audit.IsTampering(err) {
			t.Errorf("log %d, cut short and continued: %v", n, err)
		}
		s.Must(os.RemoveAll(logOf(s.D)))
	}
	s.Must(os.Rename(whole, logOf(s.D)))
	s.Recovers(t)
	if _, err := s.audit(s.D, kept); err != nil {
		t.Errorf("the whole log again: %v", err)
	}
}

// TestAttackD6EventsCutOff: the last events cut out of the files of the log are
// found out by the log itself.
func TestAttackD6EventsCutOff(t *testing.T) {
	s := fresh(t)
	s.Recovers(t)
	kept := s.checkpoint(s.D)
	var tiles []string
	s.Must(filepath.WalkDir(filepath.Join(logOf(s.D), "tile", "entries"), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			tiles = append(tiles, path)
		}
		return err
	}))
	slices.Sort(tiles)
	last := tiles[len(tiles)-1]
	genuine, err := os.ReadFile(last)
	s.Must(err)
	for size := len(genuine) - 1; size >= 0; size -= len(genuine)/12 + 1 {
		s.Must(os.WriteFile(last, genuine[:size], 0o600))
		if _, err := s.audit(s.D, kept); !audit.IsTampering(err) {
			t.Errorf("%d of %d bytes of events are left: %v", size, len(genuine), err)
		}
	}
	s.Must(os.WriteFile(last, genuine, 0o600))
	if _, err := s.audit(s.D, kept); err != nil {
		t.Errorf("the whole log again: %v", err)
	}
}

// TestAttackD8TwoHistories: a device is copied, and the two go on under one name.
// Each log is whole; the checkpoint of one does not fit the other.
func TestAttackD8TwoHistories(t *testing.T) {
	s := fresh(t)
	shared := s.checkpoint(s.D)
	copied := *s.D
	copied.Device = s.D.Again(t)
	copied.Config.StateDir = filepath.Join(s.Dir, "second")
	s.Must(world.CopyTree(s.D.Config.StateDir, copied.Config.StateDir))
	copied.Engine = filepath.Join(s.Dir, "second-engine")
	s.Must(world.CopyTree(s.D.Engine, copied.Engine))
	copied.Config.Engine = "unix://" + copied.Engine

	s.Recovers(t)
	first := s.D
	s.D = &copied
	s.Recovers(t)
	s.Recovers(t)
	for _, d := range []*world.Recorded{first, &copied} {
		if _, err := s.audit(d, shared); err != nil {
			t.Fatalf("one history alone: %v", err)
		}
	}
	if _, err := s.audit(&copied, s.checkpoint(first)); !audit.IsTampering(err) {
		t.Errorf("the longer history held against the shorter one's checkpoint: %v", err)
	}
	if _, err := s.audit(first, s.checkpoint(&copied)); !audit.IsTampering(err) {
		t.Errorf("the shorter history held against the longer one's checkpoint: %v", err)
	}
}

// TestAttackD9NoLogNoApply: without its log, or a part of it, an agent does not
// start, and begins no new one.
func TestAttackD9NoLogNoApply(t *testing.T) {
	for name, damage := range map[string]func(s *site) error{
		"deleted":                func(s *site) error { return os.RemoveAll(logOf(s.D)) },
		"emptied":                func(s *site) error { return empty(logOf(s.D)) },
		"journal is a directory": func(s *site) error { return instead(s, func(path string) error { return os.Mkdir(path, 0o700) }) },
		"journal is a full disk": func(s *site) error {
			return instead(s, func(path string) error { return os.Symlink("/dev/full", path) })
		},
		"journal is a pipe": func(s *site) error { return instead(s, func(path string) error { return syscall.Mkfifo(path, 0o600) }) },
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			whole := filepath.Join(s.Dir, "whole")
			s.Must(world.CopyTree(logOf(s.D), whole))
			runs, journal := s.D.Runs(), len(s.D.Journal())
			s.Deploy(device, "1.1.0", map[string]string{"greeting": "unlogged"})
			s.Must(damage(s))
			a, err := agent.Open(s.Context(), s.D.Config, agent.Options{ApplierDir: s.D.Programs})
			if !reason.Is(err, reason.LogUnwritable) {
				t.Errorf("the agent starts with %v", err)
			}
			if err == nil {
				s.Must(a.Close())
			}
			s.Untouched(t, runs, journal)
			if _, err := os.Stat(filepath.Join(logOf(s.D), "checkpoint")); err == nil && (name == "deleted" || name == "emptied") {
				t.Error("a new log was begun")
			}
			s.Must(os.RemoveAll(logOf(s.D)))
			s.Must(os.Rename(whole, logOf(s.D)))
			s.Recovers(t)
		})
	}
}

func empty(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Mkdir(dir, 0o700)
}

func instead(s *site, put func(path string) error) error {
	path := filepath.Join(logOf(s.D), "journal")
	if err := os.Remove(path); err != nil {
		return err
	}
	return put(path)
}

// TestAttackD9QuotaOnTheLog: no file of the agent may grow beyond so many bytes,
// as with a quota, so that one event after another is the first that does not
// fit. The first one that fails is the log's, and what has no intent in the log
// is not done.
func TestAttackD9QuotaOnTheLog(t *testing.T) {
	s := fresh(t)
	s.Deploy(device, "1.1.0", map[string]string{"greeting": "quota"})
	if _, err := s.D.SyncScope(agent.FetchOnly); err != nil {
		t.Fatal(err)
	}
	runs, stopped := s.D.Runs(), 0
	for _, limit := range []uint64{1, 300, 600, 900, 1200, 2400, 4800, 9600, 1 << 20} {
		intents := s.count("intent:apply")
		err := s.limited(limit)
		if err == nil {
			break
		}
		if limit == 1 && !reason.Is(err, reason.LogUnwritable) {
			t.Fatalf("the device says %v, want %s", err, reason.LogUnwritable)
		}
		if s.count("intent:apply") == intents && !slices.Equal(s.D.Runs(), runs) {
			t.Fatalf("with files of %d bytes it changed what runs without an intent in the log: %v", limit, err)
		}
		stopped++
		runs = s.D.Runs()
	}
	if stopped < 3 {
		t.Errorf("it was stopped in %d places only", stopped)
	}
	s.Recovers(t)
}

// limited is a cycle in which no file may grow beyond a number of bytes. It runs
// in a process of its own: the limit would hold for this one's files, too.
func (s *site) limited(bytes uint64) error {
	s.T.Helper()
	spec, err := json.Marshal(limitedCycle{s.D.Config, s.D.Programs, s.Now, bytes})
	s.Must(err)
	child := exec.CommandContext(s.Context(), os.Args[0])
	child.Env = append(os.Environ(), limitedVariable+"="+string(spec))
	child.Stderr = os.Stderr
	out, err := child.Output()
	s.Must(err)
	code, message, _ := strings.Cut(string(out), " ")
	if code == "" {
		return nil
	}
	return reason.New(reason.Code(code), "%s", message)
}

// limitedVariable makes this test program run a [limitedCycle] and nothing else.
const limitedVariable = "CONSIGN_TEST_LIMITED"

type limitedCycle struct {
	Config   agent.Config
	Programs string
	Now      time.Time
	Bytes    uint64
}

// runLimited prints the reason and the message of what went wrong in the cycle.
func runLimited(spec string) error {
	var c limitedCycle
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	a, err := agent.Open(context.Background(), c.Config, agent.Options{ApplierDir: c.Programs, Program: "agent test"})
	if err != nil {
		return err
	}
	defer a.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: c.Bytes, Max: c.Bytes}); err != nil {
		return err
	}
	res, err := a.Sync(context.Background(), c.Now, agent.ApplyOnly)
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		fmt.Print(reason.Of(err), " ", err)
	}
	return nil
}

func (s *site) count(event string) int {
	n := 0
	for _, e := range s.D.Events() {
		if e == event {
			n++
		}
	}
	return n
}

// TestAttackD10HostileNames: signed documents with names that would forge lines
// in a log, drive a terminal or hide text. The log holds one clean event for
// each, and an auditor reads one clean line.
func TestAttackD10HostileNames(t *testing.T) {
	const hostile = `x\n  999  2030-01-01 00:00:00Z  outcome       forged\r\e[2J\e[31m\u202Egnp\u200B\u2028\u0000\u009B`
	s := fresh(t)
	var genuine []byte
	s.Reorder(device, func(documents [][]byte) [][]byte {
		genuine = documents[0]
		return documents
	})
	runs, journal := s.D.Runs(), len(s.D.Journal())
	for _, field := range []string{"deviceId: press-07", "applicationId: hello", "name: hello-stack", "channel: acme", "version: 1.0.0", "pointer: GREETING", "greeting", "type: compose", "namespace: consign", "timeout: 1m0s"} {
		for _, text := range []string{hostile, strings.Repeat("long ", 4000)} {
			key, _, named := strings.Cut(field, ": ")
			forged := `"` + text + `"`
			if named {
				forged = key + ": " + forged
			}
			events := len(s.D.Events())
			s.Reorder(device, func([][]byte) [][]byte { return [][]byte{[]byte(replaced(t, string(genuine), field, forged))} })
			if _, err := s.D.Sync(); err == nil || reason.Is(err, reason.Internal) || reason.Is(err, reason.LogUnwritable) {
				t.Errorf("%s: the device says %v", field, err)
			}
			if len(s.D.Events()) == events {
				t.Errorf("%s: the log says nothing", field)
			}
			s.Untouched(t, runs, journal)
			s.Reorder(device, func([][]byte) [][]byte { return [][]byte{genuine} })
			if _, err := s.D.Sync(); err != nil { // the next refusal is a new one
				t.Fatal(err)
			}
		}
	}
	s.Recovers(t)
	_, err := audit.Verify(s.Context(), logOf(s.D), s.D.LogKey, nil, func(e audit.Entry) error {
		for _, line := range []string{string(e.Raw), auditor.Line(e)} {
			if n := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); n >= 0 {
				t.Errorf("event %d: %q", e.Seq, line)
			}
		}
		return nil
	})
	s.Must(err)
}

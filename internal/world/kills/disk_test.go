package kills

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rooms are the numbers of the operations that take room, as a command passes
// them: all in a soak, else some.
func (s *scene) rooms(c command) []int {
	s.Helper()
	total := 0
	for _, p := range s.passages(c) {
		if slices.Contains([]string{"durable.mkdir", "durable.create", "durable.write", "durable.append", "durable.link"}, p) {
			total++
		}
	}
	random := s.random()
	out := []int{1}
	for n := 2; n <= total; n++ {
		if soak || random.IntN(max(total/8, 1)) == 0 {
			out = append(out, n)
		}
	}
	return out
}

// TestSyncOnFullDisk lets the disk of a device be full from an operation on. The
// cycle says so; the application that runs is the old one or the new one, the
// log is whole, and when there is room again the next cycle converges.
func TestSyncOnFullDisk(t *testing.T) {
	s := newScene(t)
	dev := s.upgrading()
	for _, n := range s.rooms(dev.sync) {
		step := fmt.Sprintf("room:%d:full", n)
		s.try(func(tr *trial) {
			end := tr.run(dev.sync, "CONSIGN_FAULT="+step)
			if end.code != 0 && (end.code != 1 || !strings.Contains(end.text, "no space left")) {
				tr.Errorf("%s: exit %d: %s", step, end.code, end.text)
			}
			dev.log(tr, step)
			if runs := dev.runs(tr); !slices.Equal(runs, dev.before) && !slices.Equal(runs, dev.after) {
				tr.Errorf("%s: there runs %q", step, runs)
			}
			dev.later(tr, step)
			dev.converged(tr, step, dev.log(tr, step))
		})
		if s.Failed() {
			s.Fatalf("at %s", step)
		}
	}
}

// TestPublisherOnFullDisk does the same to a publisher that publishes and to one
// that copies to a directory: what is half written is taken for whole by nobody.
func TestPublisherOnFullDisk(t *testing.T) {
	t.Run("publish", func(t *testing.T) {
		s := newScene(t)
		s.fullDisk(s.publishing())
	})
	t.Run("copy", func(t *testing.T) {
		s := newScene(t)
		s.fullDisk(s.copying())
	})
}

func (s *scene) fullDisk(c *change) {
	s.Helper()
	for _, n := range s.rooms(c.cmd) {
		step := fmt.Sprintf("room:%d:full", n)
		s.try(func(tr *trial) {
			end := tr.run(c.cmd, "CONSIGN_FAULT="+step)
			if end.code != 1 || !strings.Contains(end.text, "no space left") {
				tr.Errorf("%s: exit %d: %s", step, end.code, end.text)
			}
			tr.recovers(c, step, false)
		})
		if s.Failed() {
			s.Fatalf("at %s", step)
		}
	}
}

// nobody is a user that a test that runs as root lets a program be, since to
// root no directory is read-only.
const nobody = 65534

// lock takes the right to write away from every directory of a tree.
func (tr *trial) lock(name string) (unlock func()) {
	tr.Helper()
	var dirs []string
	tr.w.Must(filepath.WalkDir(tr.path(name), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(path, nobody, nobody)
		}
		return err
	}))
	for _, d := range dirs {
		tr.w.Must(os.Chmod(d, 0o500))
	}
	return func() {
		for _, d := range dirs {
			_ = os.Chmod(d, 0o700)
		}
	}
}

// runAsNobody runs a command without root's rights.
func (tr *trial) runAsNobody(c command) ended {
	tr.Helper()
	cmd, out := tr.start(c)
	if os.Geteuid() == 0 {
		for _, dir := range []string{filepath.Dir(tr.w.Dir), tr.w.Dir, tr.dir, filepath.Dir(tr.bin)} {
			tr.w.Must(os.Chmod(dir, 0o711))
		}
		for _, file := range []string{tr.path("agent.yaml"), filepath.Join(tr.w.Dir, "docker.json")} {
			tr.w.Must(os.Chmod(file, 0o644))
		}
		tr.w.Must(os.Lchown(tr.path("tmp"), nobody, nobody))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	tr.w.Must(cmd.Start())
	defer time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	return tr.wait(cmd, out)
}

// TestSyncOnReadOnlyState: an agent that cannot write its state changes nothing,
// names the directory, and ends with the code of a cause on this machine.
func TestSyncOnReadOnlyState(t *testing.T) {
	s := newScene(t)
	dev := s.upgrading()
	s.try(func(tr *trial) {
		defer tr.lock("state")()
		end := tr.runAsNobody(dev.sync)
		if end.code != 1 || !strings.Contains(end.text, tr.path("state")) || !strings.Contains(end.text, "next: ") {
			tr.Errorf("exit %d: %s", end.code, end.text)
		}
		if runs := dev.runs(tr); !slices.Equal(runs, dev.before) {
			tr.Errorf("there runs %q", runs)
		}
	})
}

// TestSyncWithFlippedBits flips a bit in a file of the state. The device runs
// the old version or the new one afterwards, as it should, or refuses and leaves
// everything alone.
func TestSyncWithFlippedBits(t *testing.T) {
	s := newScene(t)
	dev := s.upgrading()
	random := s.random()
	for _, name := range s.sample(random, "state") {
		for range rounds(1, 8) {
			s.try(func(tr *trial) {
				step := tr.flip(random, filepath.Join("state", name))
				end := tr.run(dev.sync)
				runs := dev.runs(tr)
				if !slices.Equal(runs, dev.before) && !slices.Equal(runs, dev.after) {
					tr.Errorf("%s: there runs %q: %s", step, runs, end.text)
				}
				if end.code == 0 && !slices.Equal(runs, dev.after) {
					tr.Errorf("%s: the cycle ended well and there runs %q", step, runs)
				}
				if end.code != 0 && (end.code < 0 || end.code == 2 || end.text == "" || strings.Contains(end.text, "panic")) {
					tr.Errorf("%s: exit %d: %s", step, end.code, end.text)
				}
				if heals(name) && end.code == 1 {
					// Layers are read by the engine alone. That pull fails, and the next cycle
					// has fetched again what the engine found damaged.
					end = tr.run(dev.sync)
				}
				if heals(name) && end.code != 0 {
					tr.Errorf("%s: it was not fetched again: exit %d: %s", step, end.code, end.text)
				}
			})
		}
	}
}

// heals says of a file of the state whether the network has it, too, and nothing
// is remembered by it: then it is fetched again, and nobody has to mend it.
func heals(name string) bool {
	return strings.HasPrefix(name, "store/") || strings.Contains(name, "/complete/")
}

// TestPublishWithFlippedBits flips a bit beside the keys. The release is
// published as it should be, or nothing is and the message names the file.
func TestPublishWithFlippedBits(t *testing.T) {
	s := newScene(t)
	c := s.publishing()
	random := s.random()
	for _, name := range s.sample(random, "acme") {
		for range rounds(1, 8) {
			s.try(func(tr *trial) {
				step := tr.flip(random, filepath.Join("acme", name))
				end := tr.run(c.cmd)
				tr.allOrNothing(c, step)
				if end.code != 0 && !strings.Contains(end.text, tr.path("acme")) {
					tr.Errorf("%s: exit %d and the file is not named: %s", step, end.code, end.text)
				}
			})
		}
	}
}

// sample lists the files of a frozen tree, of the many in a store some.
func (s *scene) sample(random *rand.Rand, name string) []string {
	s.Helper()
	var out []string
	root := filepath.Join(s.frozen, name)
	s.w.Must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(root, path)
		if info.Size() > 0 && (soak || !strings.HasPrefix(rel, "store/") || random.IntN(6) == 0) {
			out = append(out, rel)
		}
		return err
	}))
	return out
}

// flip changes one bit of a file and says which.
func (tr *trial) flip(random *rand.Rand, name string) string {
	tr.Helper()
	data, err := os.ReadFile(tr.path(name))
	tr.w.Must(err)
	info, err := os.Stat(tr.path(name))
	tr.w.Must(err)
	at, bit := random.IntN(len(data)), random.IntN(8)
	data[at] ^= 1 << bit
	tr.w.Must(os.Remove(tr.path(name))) // it may be a link to the frozen one
	tr.w.Must(os.WriteFile(tr.path(name), data, info.Mode().Perm()))
	return fmt.Sprintf("%s, bit %d of byte %d of %d", name, bit, at, len(data))
}

// TestTwoOfAKind: while one command works on a directory a second one is refused
// and says who holds it; the first goes on.
func TestTwoOfAKind(t *testing.T) {
	t.Run("agents", func(t *testing.T) {
		s := newScene(t)
		s.second(s.upgrading().sync)
	})
	t.Run("publishers", func(t *testing.T) {
		s := newScene(t)
		s.second(s.publishing().cmd)
	})
}

// second stalls a first command in its first request of the channel.
func (s *scene) second(c command) {
	s.Helper()
	s.try(func(tr *trial) {
		file := tr.path("trace")
		first, _ := tr.start(c, "CONSIGN_FAULT=tufclient.fetch:1:stall", "CONSIGN_FAULT_TRACE="+file)
		tr.w.Must(first.Start())
		defer func() { _ = first.Process.Kill(); _ = first.Wait() }()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if data, _ := os.ReadFile(file); strings.Contains(string(data), "tufclient.fetch") {
				break
			}
			if time.Now().After(deadline) {
				tr.Fatal("the first command does not begin")
			}
		}
		end := tr.run(c)
		if end.code != 6 || !strings.Contains(end.text, strconv.Itoa(first.Process.Pid)) {
			tr.Errorf("exit %d, want 6 and the holder %d: %s", end.code, first.Process.Pid, end.text)
		}
	})
}

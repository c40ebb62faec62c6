package kills

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/testprograms"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

// soak says that everything is tried and not a part of it.
var soak = os.Getenv("CONSIGN_SOAK") != ""

// programs are the real programs with stopping points, and the recorder as the
// applier beside the agent; built once.
var programs = sync.OnceValues(func() (string, error) {
	return testprograms.Build("kills", "faults", "./cmd/publisher", "./cmd/agent", "./internal/world/recorder=applier-compose")
})

// scene is a world at the moment before a command.
type scene struct {
	*testing.T
	w   *world.World
	bin string
	// mirrored says that there is another registry, over the disk "mirror"; serving
	// is the trial whose disk that is.
	mirrored bool
	serving  atomic.Pointer[trial]
	// frozen is where the disks of that moment are kept, passphrase a file.
	frozen, passphrase string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	t.Parallel()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	w := world.New(t)
	w.ComposeOnly = true // charts would take most of the time of each trial
	s := &scene{T: t, w: w, bin: bin, frozen: filepath.Join(w.Dir, "frozen"), passphrase: filepath.Join(w.Dir, "passphrase")}
	w.Must(os.WriteFile(s.passphrase, []byte("test\n"), 0o600))
	return s
}

// freeze keeps directories of the world, each under a name.
func (s *scene) freeze(dirs map[string]string) {
	s.Helper()
	for name, dir := range dirs {
		s.w.Must(clone(filepath.Join(s.frozen, name), dir))
	}
}

// clone copies a tree. Content that its name is the digest of is linked: none
// of the programs changes it in place.
func clone(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if filepath.Base(filepath.Dir(path)) == "sha256" {
			return os.Link(path, target)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	})
}

// trial is a copy of the frozen disks with the registry over it.
type trial struct {
	*scene
	dir         string
	reg, mirror *oci.Registry

	mu       sync.Mutex
	requests []request
}

// request is what a registry was asked and what it answered.
type request struct {
	method, path, query string
	status              int
}

// try makes a trial and takes it away again.
func (s *scene) try(do func(*trial)) {
	s.Helper()
	dir, err := os.MkdirTemp(s.w.Dir, "trial-")
	s.w.Must(err)
	defer os.RemoveAll(dir)
	s.w.Must(clone(dir, s.frozen))
	tr := &trial{scene: s, dir: dir}
	tr.reg, err = oci.NewRegistry(oci.RegistryOptions{Dir: tr.path("registry"), CollectEvery: -1})
	s.w.Must(err)
	s.w.Intercept(func(w http.ResponseWriter, req *http.Request) bool { return tr.serve(tr.reg, w, req) })
	defer func() {
		s.w.Intercept(nil)
		_ = tr.reg.Close(context.Background())
	}()
	if s.mirrored {
		tr.mirror, err = oci.NewRegistry(oci.RegistryOptions{Dir: tr.path("mirror"), CollectEvery: -1})
		s.w.Must(err)
		defer func() { _ = tr.mirror.Close(context.Background()) }()
		s.serving.Store(tr)
	}
	do(tr)
}

func (tr *trial) path(name string) string { return filepath.Join(tr.dir, name) }

func (tr *trial) serve(reg *oci.Registry, w http.ResponseWriter, req *http.Request) bool {
	answer := &watched{ResponseWriter: w, status: http.StatusOK}
	reg.ServeHTTP(answer, req)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.requests = append(tr.requests, request{req.Method, req.URL.Path, req.URL.RawQuery, answer.status})
	return true
}

// relay sends what reaches the registry to a program at an address.
func (tr *trial) relay(host string) {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	tr.w.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		proxy.ServeHTTP(w, req)
		return true
	})
}

// reopen is the registry once more, over what a program left.
func (tr *trial) reopen() {
	tr.Helper()
	var err error
	tr.reg, err = oci.NewRegistry(oci.RegistryOptions{Dir: tr.path("registry"), CollectEvery: -1})
	tr.w.Must(err)
	tr.w.Intercept(func(w http.ResponseWriter, req *http.Request) bool { return tr.serve(tr.reg, w, req) })
}

// watched remembers the status of an answer.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// asked returns what reached the registry since the last call.
func (tr *trial) asked() []request {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	out := tr.requests
	tr.requests = nil
	return out
}

// ended is how a program ended.
type ended struct {
	code int // -1 for a signal
	text string
}

func (e ended) killed() bool { return e.code == -1 }

// command is a program of ours with its arguments in a trial.
type command func(tr *trial) []string

// start makes the process of a command.
func (tr *trial) start(c command, env ...string) (*exec.Cmd, *bytes.Buffer) {
	args := c(tr)
	cmd := exec.Command(filepath.Join(tr.bin, args[0]), args[1:]...)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "TMPDIR="+tr.path("tmp"))
	cmd.Env = append(cmd.Env, env...)
	tr.w.Must(os.MkdirAll(tr.path("tmp"), 0o700))
	return cmd, out
}

// run runs a command to its end.
func (tr *trial) run(c command, env ...string) ended {
	tr.Helper()
	cmd, out := tr.start(c, env...)
	tr.w.Must(cmd.Start())
	defer time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	return tr.wait(cmd, out)
}

func (tr *trial) wait(cmd *exec.Cmd, out *bytes.Buffer) ended {
	tr.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tr.Fatal(err)
	}
	return ended{cmd.ProcessState.ExitCode(), out.String()}
}

// noLitter finds the temporary files that nobody would ever remove.
func (tr *trial) noLitter(when string, names ...string) {
	tr.Helper()
	for _, name := range names {
		if name == "" {
			continue
		}
		_ = filepath.WalkDir(tr.path(name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && (strings.HasPrefix(d.Name(), ".consign-") || strings.HasPrefix(d.Name(), ".put-")) {
				tr.Errorf("%s: %s is left", when, strings.TrimPrefix(path, tr.dir))
			}
			return nil
		})
	}
}

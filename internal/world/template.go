package world

import (
	"crypto"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/consign-dev/consign/internal/oci"
)

// Template is a world with recorded devices that is made once and copied for
// each test: keys and signatures take seconds, a copy takes a moment. All copies
// are served under one address, since it is signed into the policy; so only one
// of them is in use at a time.
type Template struct {
	world   *World
	devices []*Recorded
	host    *host
}

// NewTemplate makes the world that every copy begins as. Call it once in a test
// program whose TestMain calls [Main]. tell says what has happened in it.
func NewTemplate(t testing.TB, tell func(w *World) []*Recorded) *Template {
	t.Helper()
	tpl := &Template{host: newHost()}
	w := newWorld(t, Options{}, tpl.host)
	made := tell(w)
	kept, err := os.MkdirTemp(shared, "template-")
	w.Must(err)
	for _, d := range made {
		d.Config.RegistryAddress = "127.0.0.1:" + FreePort(t)
	}
	for _, pattern := range []string{"package-*", "layout-*"} { // large, and read again by nobody
		found, err := filepath.Glob(filepath.Join(w.Dir, pattern))
		w.Must(err)
		for _, path := range found {
			w.Must(os.RemoveAll(path))
		}
	}
	w.Must(CopyTree(w.Dir, kept))
	tpl.devices = made
	tpl.world = w.in(t, kept)
	return tpl
}

// World is a fresh copy for a test, with its devices.
func (tpl *Template) World(t testing.TB) (*World, []*Recorded) {
	t.Helper()
	dir := t.TempDir()
	if err := copyTree(tpl.world.Dir, dir, linkFrom); err != nil {
		t.Fatal(err)
	}
	w := tpl.world.in(t, dir)
	client, err := oci.NewClient(oci.Options{DockerConfig: w.opts.DockerConfig})
	w.Must(err)
	w.client, w.host = client, tpl.host
	w.StartRegistry()
	t.Cleanup(w.StopRegistry)
	var devices []*Recorded
	for _, d := range tpl.devices {
		devices = append(devices, d.in(w))
	}
	return w, devices
}

// in is the same world with its files in another directory.
func (w *World) in(t testing.TB, dir string) *World {
	c := &World{
		T: t, Dir: dir, RegistryDir: filepath.Join(dir, "registry"), Releases: w.Releases, Deployments: w.Deployments, Now: w.Now,
		Applications: w.Applications, Rules: w.Rules, opts: w.opts, opened: map[string]crypto.Signer{},
	}
	c.opts.DockerConfig = moved(w.opts.DockerConfig, w.Dir, dir)
	for path, key := range w.opened {
		c.opened[moved(path, w.Dir, dir)] = key
	}
	return c
}

// in is the same device in a copy of its world.
func (r *Recorded) in(w *World) *Recorded {
	d, from := *r.Device, filepath.Dir(r.Engine)
	d.w = w
	for _, path := range []*string{&d.Config.StateDir, &d.Config.SecretsDir, &d.Config.DockerConfig} {
		*path = moved(*path, from, w.Dir)
	}
	engine := moved(r.Engine, from, w.Dir)
	d.Config.Engine = "unix://" + engine
	return &Recorded{&d, engine}
}

func moved(path, from, to string) string {
	if rest, ok := strings.CutPrefix(path, from+string(filepath.Separator)); ok {
		return filepath.Join(to, rest)
	}
	return path
}

// linkFrom is the size from which a copied world shares a file with its template
// as a hard link: image layers. Nothing of ours writes into a file that is there;
// a test that does removes it first.
const linkFrom = 1 << 20

// CopyTree copies files and directories with their modes, and links as links.
func CopyTree(from, to string) error { return copyTree(from, to, math.MaxInt64) }

func copyTree(from, to string, link int64) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			if err := os.MkdirAll(target, info.Mode().Perm()); err != nil {
				return err
			}
			return os.Chmod(target, info.Mode().Perm())
		case !e.Type().IsRegular():
			at, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(at, target)
		case info.Size() >= link:
			return os.Link(path, target)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	})
}

// host is an address at which one registry after another is served.
type host struct {
	srv     *httptest.Server
	current atomic.Pointer[http.Handler]
}

func newHost() *host {
	h := &host{}
	h.srv = httptest.NewServer(http.HandlerFunc(h.answer))
	return h
}

// answer breaks the connection while no registry runs.
func (h *host) answer(w http.ResponseWriter, req *http.Request) {
	if now := h.current.Load(); now != nil {
		(*now).ServeHTTP(w, req)
		return
	}
	panic(http.ErrAbortHandler)
}

func (h *host) serve(handler http.Handler) { h.current.Store(&handler) }
func (h *host) silence()                   { h.current.Store(nil) }

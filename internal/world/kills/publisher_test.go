package kills

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/tufclient"
)

// listing is what a channel lists: digests by the names of targets.
type listing map[string]digest.Digest

// reader is somebody who reads a channel: with the memory of a directory.
type reader struct {
	client     *oci.Client
	repository string
	root       []byte
	dir        string
}

// reader makes one that begins from a party's root.
func (s *scene) reader(party, repository, dir string) *reader {
	s.Helper()
	root, err := os.ReadFile(filepath.Join(s.w.Dir, party, "root.json"))
	s.w.Must(err)
	id, err := tufclient.RootIdentity(root)
	s.w.Must(err)
	s.w.Must(tufclient.Init(dir, root, id))
	return &reader{client: s.w.Client(), repository: repository, root: root, dir: dir}
}

// read refreshes, finds everything that the channel lists, and returns it with
// the version of its timestamp.
func (r *reader) read(s *scene, whole bool) (listing, int64, error) {
	ctx := s.w.Context()
	repo, err := r.client.Repository(r.repository)
	if err != nil {
		return nil, 0, err
	}
	client, err := tufclient.Open(r.dir)
	if err != nil {
		return nil, 0, err
	}
	meta, _, err := channel.RefreshAll(ctx, repo, client, s.w.Now)
	if err != nil {
		return nil, 0, err
	}
	out := listing{}
	for _, t := range meta.All() {
		out[t.Name] = t.Digest
		if err := r.find(s, meta.Kind(), t, whole); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return out, meta.Versions()["timestamp"], nil
}

// find looks for a target with all its parts and its evidence.
func (r *reader) find(s *scene, kind string, t tufclient.Target, whole bool) error {
	name, mediaType := r.repository, ocispec.MediaTypeImageManifest
	var custom channel.ReleaseCustom
	if kind == channel.KindReleases {
		application, _, _ := strings.Cut(t.Name, "/")
		var err error
		if name, err = channel.AppRepository(r.repository, application); err != nil {
			return err
		}
		mediaType = ocispec.MediaTypeImageIndex
		if err := json.Unmarshal(t.Custom, &custom); err != nil {
			return err
		}
	}
	repo, err := r.client.Repository(name)
	if err != nil {
		return err
	}
	for _, e := range custom.Evidence {
		if err := oci.Confirm(s.w.Context(), repo, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: e.Digest, Size: e.Size}, whole); err != nil {
			return fmt.Errorf("evidence: %w", err)
		}
	}
	return oci.Confirm(s.w.Context(), repo, ocispec.Descriptor{MediaType: mediaType, Digest: t.Digest, Size: t.Length}, whole)
}

// change is a command of a publisher that changes what a place holds.
type change struct {
	party, repository string
	cmd               command
	// copies says that it copies, and keys and journal are not asked for.
	copies bool
	// directory is the name of the directory that holds the place; "" for a registry.
	directory string
	// before and after are what the channel lists; version is that of its
	// timestamp before.
	before, after listing
	version       int64
}

func (c *change) flags(tr *trial, args ...string) []string {
	return append(args, "--keys", tr.path(c.party), "--passphrase-file", tr.passphrase,
		"--docker-config", filepath.Join(tr.w.Dir, "docker.json"))
}

// killed kills a change at each of its steps.
func (s *scene) killed(c *change) {
	s.Helper()
	if c.after == nil {
		s.undisturbed(c)
	}
	for n, step := range s.steps(c.cmd) {
		s.try(func(tr *trial) { tr.killedAt(c, step, n) })
		if s.Failed() {
			s.Fatalf("at %s", step)
		}
	}
}

// undisturbed finds out what a change changes.
func (s *scene) undisturbed(c *change) {
	s.Helper()
	s.reader(c.party, c.repository, filepath.Join(s.frozen, "reader"))
	s.try(func(tr *trial) {
		var err error
		c.before, c.version, err = tr.read(c, true)
		s.w.Must(err)
	})
	s.try(func(tr *trial) {
		tr.succeed("undisturbed", c.cmd)
		var err error
		c.after, _, err = tr.read(c, true)
		s.w.Must(err)
	})
}

// read reads with a memory.
func (tr *trial) read(c *change, whole bool) (listing, int64, error) {
	tr.Helper()
	r := &reader{client: tr.w.Client(), repository: c.repository, dir: tr.path("reader")}
	if c.directory != "" {
		client, err := oci.NewDirectoryReader(tr.path(c.directory), oci.Options{})
		tr.w.Must(err)
		defer client.Close()
		r.client = client
	}
	return r.read(tr.scene, whole)
}

func (tr *trial) succeed(when string, c command) string {
	tr.Helper()
	end := tr.run(c)
	if end.code != 0 {
		tr.Fatalf("%s: exit %d: %s", when, end.code, end.text)
	}
	return end.text
}

func (tr *trial) killedAt(c *change, step string, n int) {
	tr.Helper()
	end := tr.run(c.cmd, "CONSIGN_FAULT="+step)
	if !end.killed() && end.code != 0 {
		tr.Fatalf("%s: exit %d: %s", step, end.code, end.text)
	}
	tr.recovers(c, step, n%4 == 3)
}

// recovers checks what readers see after a command was cut off, and that it
// converges when it is run again, after another writer if there is one.
func (tr *trial) recovers(c *change, step string, other bool) {
	tr.Helper()
	tr.allOrNothing(c, step)
	other = other && !c.copies
	if other {
		tr.another(c)
	}
	sent, stored := uploads(tr.asked()), tr.blobs(c.directory)
	tr.succeed(step+", again", c.cmd)
	for d := range uploads(tr.asked()) {
		if sent[d] {
			tr.Errorf("%s: %s was sent again", step, d)
		}
	}
	for name, inode := range tr.blobs(c.directory) {
		if old, ok := stored[name]; ok && old != inode {
			tr.Errorf("%s: %s was written again", step, name)
		}
	}
	tr.converged(c, step)
}

func (tr *trial) allOrNothing(c *change, step string) {
	tr.Helper()
	got, _, err := tr.read(c, false)
	if err != nil {
		tr.Fatalf("%s: a reader: %v", step, err)
	}
	if !maps.Equal(got, c.before) && !maps.Equal(got, c.after) {
		tr.Errorf("%s: readers see %v, neither %v nor %v", step, got, c.before, c.after)
	}
}

// blobs are the files of content in a directory, by name, with what tells
// whether one was written anew.
func (tr *trial) blobs(directory string) map[string]uint64 {
	tr.Helper()
	out := map[string]uint64{}
	if directory == "" {
		return out
	}
	tr.w.Must(filepath.WalkDir(tr.path(directory), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Base(filepath.Dir(path)) == "sha256" && !strings.HasPrefix(d.Name(), ".") {
			info, err := os.Stat(path)
			tr.w.Must(err)
			out[path] = info.Sys().(*syscall.Stat_t).Ino
		}
		return err
	}))
	return out
}

// another publisher, on a machine of its own, changes the channel meanwhile.
func (tr *trial) another(c *change) {
	tr.Helper()
	p := tr.w.Party(c.party)
	p.Keys.Path = filepath.Join(tr.dir, "other")
	tr.w.Must(clone(p.Keys.Path, filepath.Join(tr.frozen, c.party)))
	p.Keys.Opened, p.Now = nil, time.Now()
	kind, err := p.KindOf()
	tr.w.Must(err)
	if _, err := p.RefreshChannel(tr.w.Context(), c.repository, kind); err != nil {
		tr.Errorf("another publisher: %v", err)
	}
}

// uploads are the digests of what a registry answered for.
func uploads(requests []request) map[string]bool {
	out := map[string]bool{}
	for _, r := range requests {
		if _, d, ok := strings.Cut(r.query, "digest="); ok && r.method == http.MethodPut && r.status == http.StatusCreated {
			repository, _, _ := strings.Cut(r.path, "/blobs/")
			out[repository+" "+d] = true
		}
	}
	return out
}

func (tr *trial) converged(c *change, step string) {
	tr.Helper()
	got, version, err := tr.read(c, true)
	if err != nil {
		tr.Fatalf("%s, in the end: %v", step, err)
	}
	if !maps.Equal(got, c.after) {
		tr.Errorf("%s: in the end the channel lists %v, want %v", step, got, c.after)
	}
	// At most the cut off commit, it again, that of the other, and the last one.
	if limit := c.version + 4; version > limit {
		tr.Errorf("%s: the timestamp went from version %d to %d", step, c.version, version)
	}
	if c.copies {
		tr.noLitter(step, c.directory)
		return
	}
	data, err := os.ReadFile(filepath.Join(tr.path(c.party), "commits.json"))
	tr.w.Must(err)
	if strings.Contains(string(data), `"done":false`) {
		tr.Errorf("%s: the journal is not settled: %s", step, data)
	}
	if _, held, err := durable.Holder(filepath.Join(tr.path(c.party), "lock")); err != nil || held {
		tr.Errorf("%s: the lock is held (%v)", step, err)
	}
	tr.noLitter(step, c.party)
}

// prepare publishes two versions of hello and orders the first.
func (s *scene) prepare() {
	s.Helper()
	s.w.Publish("acme", "1.0.0", nil)
	s.w.Device("press-07", "")
	s.w.Deploy("press-07", "1.0.0", map[string]string{"greeting": "one", "port": "8080"})
}

// publishing is the moment before version 2.0.0 is published.
func (s *scene) publishing() *change {
	s.Helper()
	s.prepare()
	s.freeze(map[string]string{"registry": s.w.RegistryDir, "acme": filepath.Join(s.w.Dir, "acme"), "package": s.w.Package("2.0.0", nil)})
	c := &change{party: "acme", repository: s.w.Releases}
	c.cmd = func(tr *trial) []string {
		return c.flags(tr, "publisher", "publish", tr.path("package"), "--channel", c.repository)
	}
	s.undisturbed(c)
	return c
}

func TestPublishKilled(t *testing.T) {
	s := newScene(t)
	s.killed(s.publishing())
}

func TestDeployKilled(t *testing.T) {
	s := newScene(t)
	s.prepare()
	s.w.Publish("acme", "2.0.0", nil)
	s.freeze(map[string]string{"registry": s.w.RegistryDir, "plant": filepath.Join(s.w.Dir, "plant")})
	c := &change{party: "plant", repository: s.w.Deployments}
	c.cmd = func(tr *trial) []string {
		return c.flags(tr, "publisher", "deploy", "hello@2.0.0", "--channel", c.repository, "--device", "press-07", "--set", "greeting=two")
	}
	s.killed(c)
}

func TestRefreshKilled(t *testing.T) {
	s := newScene(t)
	s.prepare()
	s.freeze(map[string]string{"registry": s.w.RegistryDir, "plant": filepath.Join(s.w.Dir, "plant")})
	c := &change{party: "plant", repository: s.w.Deployments}
	c.cmd = func(tr *trial) []string { return c.flags(tr, "publisher", "channel", "refresh", c.repository) }
	s.killed(c)
}

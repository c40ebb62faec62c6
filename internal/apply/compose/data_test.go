package compose

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

const withData = `
services:
  web:
    image: app:1
    ports: ["127.0.0.1::8080"]
    volumes: ["data:/data", "more:/more"]
    healthcheck: {test: ["CMD", "/app", "health"], interval: 500ms}
    restart: always
volumes: {data: {labels: {of: author}}, more: {}}
`

// snapshot copies what the site's deployment has into a new directory.
func (s *site) snapshot(in task.ApplyInput) (string, []task.Volume, error) {
	s.t.Helper()
	dir := s.t.TempDir()
	out, err := Snapshot(s.t.Context(), s.snapshotOf(in, dir))
	return dir, out.Volumes, err
}

func (s *site) snapshotOf(in task.ApplyInput, dir string) task.SnapshotInput {
	return task.SnapshotInput{
		Engine: s.engine, Deployment: s.deployment, Projects: []string{s.project},
		Images: in.Images, Dir: dir, Room: 1 << 30, TimeoutSeconds: 60,
	}
}

func (s *site) restore(in task.ApplyInput, dir string, volumes []task.Volume) error {
	_, err := Restore(s.t.Context(), task.RestoreInput{
		Engine: s.engine, Deployment: s.deployment, Images: in.Images, Dir: dir, Volumes: volumes, TimeoutSeconds: 60,
	})
	return err
}

// states are those of all containers of the deployment, helpers included.
func (s *site) states() []string {
	s.t.Helper()
	list, err := s.docker.ContainerList(s.t.Context(), client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", task.LabelDeployment+"="+s.deployment),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	out := []string{}
	for _, c := range list.Items {
		out = append(out, string(c.State))
	}
	return out
}

// odd are entries that a copy must keep: owners, modes, links, capabilities.
var odd = []*tar.Header{
	{Name: "consign-data/", Typeflag: tar.TypeDir, Mode: 0o1770, Uid: 70, Gid: 71},
	{Name: "consign-data/a", Typeflag: tar.TypeReg, Mode: 0o4711, Uid: 1234, Gid: 4321, Size: 5, PAXRecords: capable},
	{Name: "consign-data/abs", Typeflag: tar.TypeSymlink, Linkname: "/etc/../../x"},
	{Name: "consign-data/b", Typeflag: tar.TypeLink, Linkname: "consign-data/a", Mode: 0o4711, Uid: 1234, Gid: 4321, PAXRecords: capable},
	{Name: "consign-data/c", Typeflag: tar.TypeSymlink, Linkname: "../../etc/passwd", Uid: 5, Gid: 6},
	{Name: "consign-data/d", Typeflag: tar.TypeFifo, Mode: 0o600},
	{Name: "consign-data/" + strings.Repeat("long/", 30), Typeflag: tar.TypeDir, Mode: 0o500, Uid: 9},
}

// capable is the file capability cap_net_bind_service.
var capable = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04" + strings.Repeat("\x00", 14)}

// plant writes odd entries into a volume.
func (s *site) plant(in task.ApplyInput, volume string) {
	s.t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, h := range odd {
		err := tw.WriteHeader(h)
		if err == nil && h.Size > 0 {
			_, err = io.WriteString(tw, "hello")
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	_ = tw.Close()
	e, err := connect(s.t.Context(), s.engine)
	if err != nil {
		s.t.Fatal(err)
	}
	defer e.Close()
	err = e.withHelper(s.t.Context(), owner{s.project, s.deployment}, in.Images[0], volume, func(id string) error {
		_, err := s.docker.CopyToContainer(s.t.Context(), id, client.CopyToContainerOptions{DestinationPath: mountParent, Content: &buf})
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// entries lists a copy by name.
func entries(t *testing.T, path string) map[string]*tar.Header {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]*tar.Header{}
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = h
	}
}

func TestDataGoesBackAsItWas(t *testing.T) {
	s := newSite(t)
	in := s.render(withData, nil)
	web := s.mustApply(in)["web"]
	s.get(web, "/write", "path", "/data/kept", "text", "old")
	s.plant(in, s.project+"_more")
	dir, volumes, err := s.snapshot(in)
	if err != nil || len(volumes) != 2 || volumes[0].Name != s.project+"_data" || volumes[0].Labels["of"] != "author" {
		t.Fatalf("%+v, %v", volumes, err)
	}
	if got := s.states(); !slices.Equal(got, []string{"exited"}) {
		t.Errorf("after the snapshot the containers are %q", got)
	}
	checkOdd(t, filepath.Join(dir, volumes[1].File))

	s.image("app:2")
	next := s.render(strings.ReplaceAll(withData, "app:1", "app:2"), nil)
	web = s.mustApply(next)["web"]
	s.get(web, "/write", "path", "/data/kept", "text", "new")
	s.get(web, "/write", "path", "/more/a", "text", "new")
	s.get(web, "/write", "path", "/data/besides", "text", "new")
	for range 2 { // also when it is repeated
		if err := s.restore(in, dir, volumes); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.states(); len(got) > 0 {
		t.Errorf("after the restore there are containers: %q", got)
	}
	if _, again, err := s.snapshot(in); err != nil || len(again) != 2 || again[0].Content != volumes[0].Content {
		t.Errorf("a snapshot while there are no containers: %+v, %v", again, err)
	}
	web = s.mustApply(in)["web"]
	if got := s.get(web, "/file", "path", "/data/kept"); got != "old" {
		t.Errorf("the file holds %q", got)
	}
	again, restored, err := s.snapshot(in)
	if err != nil {
		t.Fatal(err)
	}
	for n, v := range restored {
		if v.Content != volumes[n].Content || len(v.Labels) != len(volumes[n].Labels) {
			t.Errorf("%s: %+v became %+v", v.Name, volumes[n], v)
		}
	}
	checkOdd(t, filepath.Join(again, restored[1].File))
}

// checkOdd compares a copy with what was planted.
func checkOdd(t *testing.T, path string) {
	t.Helper()
	got := entries(t, path)
	for _, want := range odd {
		h := got[want.Name]
		switch {
		case h == nil:
			t.Errorf("%s is missing", want.Name)
		case want.Typeflag == tar.TypeLink:
			if h.Typeflag != tar.TypeLink || h.Linkname != want.Linkname {
				t.Errorf("%s is no hard link: %+v", want.Name, h)
			}
		case h.Typeflag != want.Typeflag || h.Uid != want.Uid || h.Gid != want.Gid || h.Linkname != want.Linkname ||
			want.Typeflag != tar.TypeSymlink && h.Mode&0o7777 != want.Mode:
			t.Errorf("%s: %+v, want %+v", want.Name, h, want)
		}
		for name, value := range want.PAXRecords {
			if h != nil && h.PAXRecords[name] != value {
				t.Errorf("%s: %s is %q", want.Name, name, h.PAXRecords[name])
			}
		}
	}
}

func TestSnapshotWithoutVolumesStopsNothing(t *testing.T) {
	s := newSite(t)
	in := s.render(healthyWeb, map[string]string{"GREETING": "x"})
	s.mustApply(in)
	_, volumes, err := s.snapshot(in)
	if err != nil || len(volumes) != 0 || !slices.Equal(s.states(), []string{"running"}) {
		t.Errorf("%+v, %v, %q", volumes, err, s.states())
	}
}

func TestSnapshotWithoutSpaceStopsNothing(t *testing.T) {
	s := newSite(t)
	in := s.render(withData, nil)
	web := s.mustApply(in)["web"]
	s.get(web, "/grow", "path", "/data/huge", "size", "8796093022208")
	_, _, err := s.snapshot(in)
	if !reason.Is(err, reason.NoSpace) || !strings.Contains(err.Error(), "8388608.0 MiB") || !strings.Contains(err.Error(), "1024.0 MiB") {
		t.Errorf("error %v, want no-space with both figures", err)
	}
	if again := s.observe(in).Services; len(again) != 1 || again[0].State != "running" || again[0].Container != web.Container || again[0].Restarts > 0 {
		t.Errorf("%+v", again)
	}
	s.get(web, "/grow", "path", "/data/huge", "size", "0")
}

func TestFailedSnapshotStartsAgain(t *testing.T) {
	s := newSite(t)
	in := s.render(withData, nil)
	web := s.mustApply(in)["web"]
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "1.tar.part"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Snapshot(t.Context(), s.snapshotOf(in, dir)); err == nil || !strings.Contains(err.Error(), s.project+"_more") {
		t.Errorf("error %v, want one that names the volume", err)
	}
	if got := s.states(); !slices.Equal(got, []string{"running"}) {
		t.Errorf("after the failure the containers are %q", got)
	}
	if again := s.mustApply(in)["web"]; again.Container != web.Container {
		t.Error("the container was replaced")
	}
}

// Data is not removed for a copy that is damaged, or that is another's.
func TestRestoreOfWhatIsNotTheCopyTouchesNothing(t *testing.T) {
	s := newSite(t)
	in := s.render(withData, nil)
	web := s.mustApply(in)["web"]
	dir, volumes, err := s.snapshot(in)
	if err != nil {
		t.Fatal(err)
	}
	web = s.mustApply(in)["web"]
	path := filepath.Join(dir, volumes[1].File)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := append(slices.Clone(good[:len(good)-1]), 1)
	for name, c := range map[string]struct {
		bytes []byte
		edit  func(v *task.Volume)
		want  reason.Code
	}{
		"changed":      {changed, nil, reason.DigestMismatch},
		"cut":          {good[:len(good)-512], nil, reason.DigestMismatch},
		"longer":       {append(slices.Clone(good), 0), nil, reason.DigestMismatch},
		"other file":   {good, func(v *task.Volume) { v.File = "../1.tar" }, reason.Malformed},
		"other labels": {good, func(v *task.Volume) { v.Labels = map[string]string{"of": "another"} }, reason.Malformed},
		"no digest":    {good, func(v *task.Volume) { v.Digest = digest.Digest("") }, reason.DigestMismatch},
	} {
		if err := os.WriteFile(path, c.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		list := slices.Clone(volumes)
		if c.edit != nil {
			c.edit(&list[1])
		}
		if err := s.restore(in, dir, list); !reason.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if again := s.observe(in).Services; len(again) != 1 || again[0].Container != web.Container || again[0].State != "running" {
		t.Errorf("%+v", again)
	}
}

// What is not the deployment's is neither copied nor replaced.
func TestDataOfOthersIsLeftAlone(t *testing.T) {
	s := newSite(t)
	in := s.render(withData, nil)
	s.mustApply(in)
	foreign := s.project + "-another"
	if _, err := s.docker.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: foreign, Labels: map[string]string{"of": "another"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.drop(foreign) })
	dir, volumes, err := s.snapshot(in)
	if err != nil || slices.ContainsFunc(volumes, func(v task.Volume) bool { return v.Name == foreign }) {
		t.Fatalf("%+v, %v", volumes, err)
	}
	claimed := slices.Clone(volumes)
	claimed[0].Name = foreign
	if err := s.restore(in, dir, claimed); !reason.Is(err, reason.Conflict) {
		t.Errorf("restore over the volume of another: %v", err)
	}
	user, err := s.docker.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config:     &container.Config{Image: in.Images[0]},
		HostConfig: &container.HostConfig{Binds: []string{s.project + "_data:/x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.snapshot(in); !reason.Is(err, reason.Conflict) {
		t.Errorf("snapshot of a volume that a stranger uses: %v", err)
	}
	if err := s.restore(in, dir, volumes); !reason.Is(err, reason.Conflict) {
		t.Errorf("restore of a volume that a stranger uses: %v", err)
	}
	if _, err := s.docker.ContainerRemove(t.Context(), user.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
}

func (s *site) drop(volume string) {
	docker, err := client.New(client.WithHost(s.engine))
	if err == nil {
		_, err = docker.VolumeRemove(context.WithoutCancel(s.t.Context()), volume, client.VolumeRemoveOptions{})
	}
	if err != nil {
		s.t.Errorf("clean up: %v", err)
	}
}

package kills

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/publish"
)

func (s *scene) copyCommand(destination func(tr *trial) string) command {
	return func(tr *trial) []string {
		return []string{"publisher", "copy", s.w.Releases, destination(tr), "--root", filepath.Join(s.w.Dir, "acme", "root.json"),
			"--docker-config", filepath.Join(s.w.Dir, "docker.json")}
	}
}

func TestCopyToRegistryKilled(t *testing.T) {
	s := newScene(t)
	dir := filepath.Join(s.w.Dir, "mirror")
	first, err := oci.NewRegistry(oci.RegistryOptions{Dir: dir, CollectEvery: -1})
	s.w.Must(err)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if tr := s.serving.Load(); tr != nil {
			tr.serve(tr.mirror, w, req)
			return
		}
		first.ServeHTTP(w, req)
	}))
	defer srv.Close()
	repository := strings.TrimPrefix(srv.URL, "http://") + "/copies/releases"
	s.w.Publish("acme", "1.0.0", nil)
	_, err = s.w.Copy("acme", publish.CopyInput{From: s.w.Registry(s.w.Releases), To: s.w.Registry(repository)})
	s.w.Must(err)
	s.w.Must(first.Close(s.w.Context()))
	s.w.Publish("acme", "2.0.0", nil)
	s.freeze(map[string]string{"registry": s.w.RegistryDir, "mirror": dir})
	s.mirrored = true
	s.killed(&change{
		party: "acme", repository: repository, copies: true,
		cmd: s.copyCommand(func(*trial) string { return repository }),
	})
}

// copying is the moment before a second version is copied to a directory.
func (s *scene) copying() *change {
	s.Helper()
	dir := filepath.Join(s.w.Dir, "media")
	s.w.Publish("acme", "1.0.0", nil)
	_, err := s.w.CopyOut("acme", s.w.Releases, dir, nil)
	s.w.Must(err)
	s.w.Publish("acme", "2.0.0", nil)
	s.freeze(map[string]string{"registry": s.w.RegistryDir, "media": dir})
	c := &change{
		party: "acme", repository: s.w.Releases, copies: true, directory: "media",
		cmd: s.copyCommand(func(tr *trial) string { return "oci:" + tr.path("media") }),
	}
	s.undisturbed(c)
	return c
}

func TestCopyToDirectoryKilled(t *testing.T) {
	s := newScene(t)
	s.killed(s.copying())
}

package outputs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/world"
)

// TestModes makes everything that the programs make under a umask that takes
// nothing away: what is not public is readable by its owner alone, itself or by
// the directory that it lies under.
func TestModes(t *testing.T) {
	w := world.New(t)
	s := &site{shell: newShell(t), w: w}
	s.prefix = []string{"/bin/sh", "-c", `umask 000; exec "$0" "$@"`}
	home := t.TempDir()
	in := func(name string) string { return filepath.Join(home, name) }
	pass := s.file("passphrase", "test\n")
	host, _, _ := strings.Cut(w.Releases, "/")
	releases, deployments := host+"/modes/releases", host+"/modes/deployments"
	keys := func(party string) []string { return []string{"--keys", in(party), "--passphrase-file", pass} }
	w.Must(os.CopyFS(in("package"), os.DirFS(w.Package("1.0.0", nil))))

	s.once(0, "publisher", "key", "generate", in("signing.pem"), "--passphrase-file", pass)
	s.once(0, "publisher", append([]string{"channel", "init", releases, "--kind", "releases"}, keys("acme")...)...)
	s.once(0, "publisher", append([]string{"channel", "init", deployments, "--kind", "deployments"}, keys("plant")...)...)
	s.once(0, "publisher", "pack", in("package"), "--to", in("layout"))
	s.once(0, "publisher", append([]string{"publish", in("package"), "--channel", releases}, keys("acme")...)...)
	s.once(0, "publisher", "channel", "export-tuf", releases, "--to", in("export"), "--keys", in("acme"))
	s.once(0, "publisher", "copy", releases, "oci:"+in("media"), "--root", in("acme/root.json"))
	config := s.file("agent.yaml", fmt.Sprintf("stateDir: %s\nengine: unix://%s\nregistryAddress: 127.0.0.1:5127\n", in("state"), in("engine")))
	s.once(0, "agent", "init", "--config", config, "--channel", deployments, "--root", in("plant/root.json"), "--device", "press-07")
	s.once(anyCode, "agent", "sync", "--config", config)

	seen := 0
	w.Must(filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == home {
			return err
		}
		info, err := e.Info()
		w.Must(err)
		name, _ := filepath.Rel(home, path)
		mode := info.Mode().Perm()
		switch {
		case name == "package" || name == "engine":
			return filepath.SkipDir // not ours
		case mode&0o022 != 0:
			t.Errorf("%s: mode %04o lets others write", name, mode)
		case e.IsDir() && mode == 0o700:
			seen++
			return filepath.SkipDir
		case mode&0o077 != 0 && !published(name):
			t.Errorf("%s: mode %04o lets others read", name, mode)
		}
		seen++
		return nil
	}))
	if seen < 8 {
		t.Errorf("only %d files and directories were looked at", seen)
	}
}

// published reports what is made for others to read: public keys, image layouts,
// exported metadata.
func published(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	return top == "layout" || top == "media" || top == "export" || strings.HasSuffix(name, ".pub")
}

// TestPlantedLinks puts links to somebody's file where the programs are going to
// write. The file stays as it is, whether the program replaces the link, or
// refuses it.
func TestPlantedLinks(t *testing.T) {
	w := world.New(t)
	s := &site{shell: newShell(t), w: w}
	pass := s.file("passphrase", "test\n")
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	victim := filepath.Join(t.TempDir(), "victim")
	w.Must(os.WriteFile(victim, []byte("precious"), 0o644))
	absent := filepath.Join(filepath.Dir(victim), "absent")
	pack := w.Package("1.0.0", nil)
	acme := filepath.Join(w.Dir, "acme")
	for name, c := range map[string]struct {
		links []string
		args  []string
	}{
		"key":    {[]string{"k.pem", "k.pem.pub"}, []string{"key", "generate", in("k.pem"), "--passphrase-file", pass}},
		"layout": {[]string{"layout/oci-layout", "layout/index.json", "layout/blobs/sha256"}, []string{"pack", pack, "--to", in("layout")}},
		"export": {[]string{"export/root.json", "export/1.root.json", "export/timestamp.json", "export/1.snapshot.json"},
			[]string{"channel", "export-tuf", w.Releases, "--to", in("export"), "--keys", acme}},
		"copy": {[]string{"media/oci-layout", "media/index.json", "media/blobs"},
			[]string{"copy", w.Releases, "oci:" + in("media"), "--root", filepath.Join(acme, "root.json")}},
		"keys": {[]string{"keys/root.json", "keys/root.pem", "keys/targets.pem.pub", "keys/lock", "keys/state"},
			[]string{"channel", "init", w.Releases + "-other", "--kind", "releases", "--keys", in("keys"), "--passphrase-file", pass}},
	} {
		for n, link := range c.links {
			w.Must(os.RemoveAll(in(filepath.Dir(c.links[0]))))
			w.Must(os.MkdirAll(filepath.Dir(in(link)), 0o700))
			w.Must(os.Symlink([]string{absent, victim}[n%2], in(link)))
			s.once(anyCode, "publisher", c.args...)
			entries, err := os.ReadDir(filepath.Dir(victim))
			w.Must(err)
			if data, err := os.ReadFile(victim); err != nil || string(data) != "precious" || len(entries) != 1 {
				t.Fatalf("%s: a link at %s led to %q, %v, %v\n%v", name, link, data, err, entries, s.said[len(s.said)-1])
			}
		}
	}
}

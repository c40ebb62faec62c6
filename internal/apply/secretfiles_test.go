package apply

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
)

const plantedSecret = "planted-k3y-material"

// secretFiles makes a device with one secret, "db".
func secretFiles(t *testing.T) (files SecretFiles, path string) {
	t.Helper()
	dir := t.TempDir()
	files = SecretFiles{Dir: filepath.Join(dir, "secrets"), KeyFile: filepath.Join(dir, "secrets.key")}
	path = filepath.Join(files.Dir, "db")
	do(t, os.Mkdir(files.Dir, 0o700), os.WriteFile(path, []byte(plantedSecret), 0o600))
	return files, path
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecretFilesAreStrict(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(path string) error
		says  string
	}{
		"missing":       {os.Remove, "/secrets/db is missing"},
		"too open":      {func(p string) error { return os.Chmod(p, 0o644) }, "has mode 0644: run 'chmod 0600 /"},
		"group":         {func(p string) error { return os.Chmod(p, 0o640) }, "has mode 0640"},
		"executable":    {func(p string) error { return os.Chmod(p, 0o700) }, "has mode 0700"},
		"too large":     {func(p string) error { return os.WriteFile(p, make([]byte, task.MaxSecret+1), 0o600) }, "longer than 65536"},
		"empty":         {func(p string) error { return os.Truncate(p, 0) }, "is empty"},
		"hard link":     {func(p string) error { return os.Link(p, p+"2") }, "2 names"},
		"symbolic link": {func(p string) error { return moved(p, func() error { return os.Symlink(p+"2", p) }) }, "is a link"},
		"directory":     {func(p string) error { return moved(p, func() error { return os.Mkdir(p, 0o700) }) }, "not a regular file"},
		"pipe":          {func(p string) error { return moved(p, func() error { return unix.Mkfifo(p, 0o600) }) }, "not a regular file"},
		"no directory":  {func(p string) error { return os.RemoveAll(filepath.Dir(p)) }, "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			files, path := secretFiles(t)
			do(t, files.Check([]string{"db"}), c.spoil(path))
			err := files.Check([]string{"db"})
			if !reason.Is(err, reason.Ineligible) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v\nwant reason ineligible, saying %q", err, c.says)
			}
			if strings.Contains(err.Error(), plantedSecret) {
				t.Errorf("quotes the secret: %v", err)
			}
			if !Untouched(err) {
				t.Error("is not known to have changed nothing")
			}
		})
	}
}

func moved(path string, next func() error) error {
	if err := os.Rename(path, path+"2"); err != nil {
		return err
	}
	return next()
}

func TestASecretOfAnotherUserIsRefused(t *testing.T) {
	_, path := secretFiles(t)
	info, err := os.Stat(path)
	do(t, err, checkSecretFile(path, info, os.Geteuid()))
	if err := checkSecretFile(path, info, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "is owned by user") {
		t.Errorf("got %v", err)
	}
}

func TestVersionsChangeWithTheContentAlone(t *testing.T) {
	files, path := secretFiles(t)
	render := []byte(`{"name":"p","secrets":{"a":{"name":"p_a","environment":"db"},"b":{"name":"p_b","environment":"db"}}}`)
	versionNow := func() string {
		t.Helper()
		found, err := files.namedIn(bundle.Compose, render)
		if err != nil || len(found) != 1 || len(found["db"].Content) == 0 {
			t.Fatalf("%v, %v", found, err)
		}
		return found["db"].Version
	}
	first := versionNow()
	if again := versionNow(); again != first {
		t.Errorf("version %s became %s by itself", first, again)
	}
	do(t, os.WriteFile(path, []byte(plantedSecret+"2"), 0o600))
	second := versionNow()
	do(t, os.WriteFile(path, []byte(plantedSecret), 0o600))
	if back := versionNow(); second == first || back != first {
		t.Errorf("versions %s, %s, %s", first, second, back)
	}
	key, err := os.ReadFile(files.KeyFile)
	if info, statErr := os.Stat(files.KeyFile); err != nil || statErr != nil || info.Mode() != 0o600 || len(key) != secretKeyBytes {
		t.Errorf("key of %d bytes: %v, %v, %v", len(key), err, statErr, info)
	}
	if version(bytes.Repeat([]byte{1}, 32), "db", []byte(plantedSecret)) == first {
		t.Error("the version does not depend on the device's key")
	}
	if version(key, "other", []byte(plantedSecret)) == first {
		t.Error("two secrets with one content have one version")
	}
	do(t, os.WriteFile(files.KeyFile, []byte("short"), 0o600))
	if _, err := files.namedIn(bundle.Compose, render); err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Errorf("a damaged key: %v", err)
	}
}

func TestARenderWithoutSecretsNeedsNoKey(t *testing.T) {
	files, _ := secretFiles(t)
	found, err := files.namedIn(bundle.Compose, []byte(`{"name":"p"}`))
	if err != nil || found != nil {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := os.Stat(files.KeyFile); !os.IsNotExist(err) {
		t.Errorf("a key was made: %v", err)
	}
}

func TestASecretIsNotPrinted(t *testing.T) {
	in := ApplyInput{Secrets: map[string]task.Secret{"db": {Content: task.SecretContent(plantedSecret), Version: "v"}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		text := fmt.Sprintf(verb, in)
		if strings.Contains(text, plantedSecret) || strings.Contains(text, fmt.Sprintf("%x", plantedSecret)) || !strings.Contains(text, "(secret)") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

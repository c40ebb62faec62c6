package apply

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// SecretFiles are the secrets of a device: one file for each, which whoever
// administers the device writes, and which is read each time it is delivered.
type SecretFiles struct {
	// Dir is the directory of the files; a file's name is the secret's.
	Dir string
	// KeyFile holds the key under which versions are made. It is made at its first
	// use. A lost key makes every version new, and so restarts, once, the services
	// that have secrets.
	KeyFile string
}

// secretKeyBytes is the length of the version key.
const secretKeyBytes = 32

// Check reads the named secrets and forgets them. The error is that of the first
// one, in order of their names, that could not be delivered.
func (f SecretFiles) Check(names []string) error {
	for _, name := range slices.Sorted(slices.Values(names)) {
		if _, err := f.read(name); err != nil {
			return err
		}
	}
	return nil
}

// CheckRender is Check of the secrets that a render of a component of a type names.
func (f SecretFiles) CheckRender(profile string, render []byte) error {
	names, err := secretNames(profile, render)
	if err != nil {
		return err
	}
	return f.Check(names)
}

// secretNames are the names of the secrets in a render, sorted, each once.
func secretNames(profile string, render []byte) ([]string, error) {
	if profile == bundle.Helm {
		var objects struct {
			Secrets []string `json:"secrets"`
		}
		if err := strictjson.UnmarshalOpen(render, &objects, task.RenderLimits); err != nil {
			return nil, reason.New(reason.Render, "the render is not one of a chart: %w", err)
		}
		return objects.Secrets, nil
	}
	var project struct {
		Secrets map[string]struct {
			Environment string `json:"environment"`
		} `json:"secrets"`
	}
	if err := strictjson.UnmarshalOpen(render, &project, task.RenderLimits); err != nil {
		return nil, reason.New(reason.Render, "the render is not a Compose project: %w", err)
	}
	names := map[string]bool{}
	for _, s := range project.Secrets {
		names[s.Environment] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// namedIn returns the secrets that a render names.
func (f SecretFiles) namedIn(profile string, render []byte) (map[string]task.Secret, error) {
	return f.some(profile, render, false)
}

// readable are those of the secrets that a render names which can be read. What else
// there is to see of the application is to be seen without the others all the same.
func (f SecretFiles) readable(profile string, render []byte) (map[string]task.Secret, error) {
	return f.some(profile, render, true)
}

// some are the secrets that a render names. One that cannot be read is left out, or
// is an error.
func (f SecretFiles) some(profile string, render []byte, leaveOut bool) (map[string]task.Secret, error) {
	names, err := secretNames(profile, render)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	key, err := f.key()
	if err != nil {
		return nil, fmt.Errorf("key of secret versions: %w", err)
	}
	out := map[string]task.Secret{}
	for _, name := range names {
		content, err := f.read(name)
		if err != nil && leaveOut {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[name] = task.Secret{Content: content, Version: version(key, name, content)}
	}
	return out, nil
}

// versions are those of secrets, without what they hold.
func versions(secrets map[string]task.Secret) map[string]string {
	out := map[string]string{}
	for name, s := range secrets {
		out[name] = s.Version
	}
	return out
}

// version tells whoever has the key whether a secret is another one than before,
// and tells nobody else anything: without a key, guesses could be tried against
// the label of a container.
func version(key []byte, name string, content []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\x00", name)
	mac.Write(content)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func (f SecretFiles) key() ([]byte, error) {
	key, err := durable.ReadFile(f.KeyFile, secretKeyBytes)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, secretKeyBytes)
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
		err = durable.WriteFile(f.KeyFile, key, 0o600)
	}
	if err == nil && len(key) != secretKeyBytes {
		err = fmt.Errorf("%s has %d bytes, not %d: remove it, and services with secrets are restarted once", f.KeyFile, len(key), secretKeyBytes)
	}
	return key, err
}

// read returns a secret, or says what about its file is not as it must be. No
// error holds any of the content.
func (f SecretFiles) read(name string) (task.SecretContent, error) {
	if name == "" || !filepath.IsLocal(name) || filepath.Base(name) != name {
		return nil, reason.New(reason.Internal, "secret %q: not a file name", name)
	}
	path := filepath.Join(f.Dir, name)
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, unfit(name, "%s is missing: write the value there, mode 0600, owned by the agent's user", path)
	case errors.Is(err, unix.ELOOP):
		return nil, unfit(name, "%s is a link: put the file itself there", path)
	case err != nil:
		return nil, unfit(name, "%w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, unfit(name, "%w", err)
	}
	if err := checkSecretFile(path, info, os.Geteuid()); err != nil {
		return nil, unfit(name, "%w", err)
	}
	content, err := io.ReadAll(io.LimitReader(file, task.MaxSecret+1))
	switch {
	case err != nil:
		return nil, unfit(name, "%w", err)
	case len(content) > task.MaxSecret:
		return nil, unfit(name, "%s is longer than %d bytes", path, task.MaxSecret)
	case len(content) == 0:
		return nil, unfit(name, "%s is empty", path)
	}
	return content, nil
}

// unfit has the reason of a device that lacks what an order needs.
func unfit(name, format string, args ...any) error {
	return reason.New(reason.Ineligible, "secret %q: %w", name, fmt.Errorf(format, args...))
}

// checkSecretFile insists on a file that only the given user can read or change,
// under this one name.
func checkSecretFile(path string, info fs.FileInfo, user int) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular() || !ok:
		return fmt.Errorf("%s is not a regular file", path)
	case info.Mode().Perm()&^0o600 != 0:
		return fmt.Errorf("%s has mode %04o: run 'chmod 0600 %s'", path, info.Mode().Perm(), path)
	case int(stat.Uid) != user:
		return fmt.Errorf("%s is owned by user %d, the agent is user %d: change its owner", path, stat.Uid, user)
	case stat.Nlink != 1:
		return fmt.Errorf("%s has %d names (hard links): leave it one", path, stat.Nlink)
	}
	return nil
}

package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/consign-dev/consign/internal/reason"
)

// maxDockerConfig bounds what is read of a Docker configuration; one with a
// hundred registries has 20 KiB.
const maxDockerConfig = 1 << 20

// DockerConfig describes a Docker configuration without its secrets.
type DockerConfig struct {
	// Path is where it is looked for; "" for a user without a home directory.
	Path string
	// Mode is that of the file.
	Mode fs.FileMode
	// Secrets says that the file itself holds some.
	Secrets bool
}

// LookDockerConfig describes the configuration that [Options.DockerConfig] means.
// One that is not there is fs.ErrNotExist, with the Path in the result.
func LookDockerConfig(file string) (DockerConfig, error) {
	c := DockerConfig{Path: dockerConfigPath(file)}
	if c.Path == "" {
		return c, fs.ErrNotExist
	}
	f, err := os.OpenFile(c.Path, os.O_RDONLY|unix.O_NONBLOCK, 0) // never waits for a pipe
	if err != nil {
		return c, fmt.Errorf("read Docker configuration: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return c, fmt.Errorf("read Docker configuration: %s: %w", c.Path, err)
	}
	c.Mode = info.Mode()
	c.Secrets, err = hasSecrets(f)
	if err != nil {
		return c, fmt.Errorf("read Docker configuration: %s: %w", c.Path, err)
	}
	return c, nil
}

func dockerConfigPath(file string) string {
	if file != "" {
		return file
	}
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	if home := os.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".docker", "config.json")
	}
	return ""
}

// hasSecrets reads as leniently as Docker itself: the file is the machine's own,
// and other tools keep things of theirs in it.
func hasSecrets(r io.Reader) (bool, error) {
	var config struct {
		Auths map[string]struct{ Auth, Password, IdentityToken, RegistryToken string }
	}
	data, err := io.ReadAll(io.LimitReader(r, maxDockerConfig+1))
	if err != nil {
		return false, err
	}
	if len(data) > maxDockerConfig {
		return false, reason.New(reason.TooLarge, "longer than %d bytes", maxDockerConfig)
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return false, reason.New(reason.Malformed, "%w", err)
	}
	for _, a := range config.Auths {
		if a.Auth+a.Password+a.IdentityToken+a.RegistryToken != "" {
			return true, nil
		}
	}
	return false, nil
}

// HasCredentials reports whether the Docker configuration has an entry for a
// host, asking a credential helper where it names one.
func (c *Client) HasCredentials(ctx context.Context, host string) (bool, error) {
	if c.auth.Credential == nil {
		return false, nil
	}
	found, err := c.auth.Credential(ctx, host)
	return found != auth.EmptyCredential, err
}

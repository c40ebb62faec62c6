package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// engine is a directory that stands for one.
type engine struct{ dir string }

func open(address string) (engine, error) {
	dir, ok := strings.CutPrefix(address, "unix://")
	if !ok || !filepath.IsAbs(dir) {
		return engine{}, fmt.Errorf("engine %q: the recorder takes unix:///DIRECTORY", address)
	}
	for _, sub := range []string{"projects", "content"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return engine{}, err
		}
	}
	return engine{dir}, nil
}

func (e engine) note(format string, args ...any) error {
	if err := fault.Point("engine.note"); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(e.dir, "journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, format+"\n", args...)
	return errors.Join(err, f.Close())
}

func (e engine) path(name string) string { return filepath.Join(e.dir, "projects", name) }

func (e engine) project(name string) (project, error) {
	var p project
	data, err := os.ReadFile(e.path(name))
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(data, &p)
}

// owns refuses to touch what another deployment runs under the name.
func (e engine) owns(name, deployment string) error {
	p, err := e.project(name)
	if err == nil && p.Deployment != deployment {
		return reason.New(reason.Conflict, "project %s is of deployment %s", name, p.Deployment)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// run replaces what runs under a name as an engine does: all at once here.
func (e engine) run(name string, p project) error {
	if err := fault.Point("engine.up"); err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(e.path(name)+"~", data, 0o600); err != nil {
		return err
	}
	if err := os.Rename(e.path(name)+"~", e.path(name)); err != nil {
		return err
	}
	if err := fault.Point("engine.settle"); err != nil {
		return err
	}
	return e.note("run %s %s", name, p.Digest)
}

func (e engine) stop(name string) error {
	if err := fault.Point("engine.down"); err != nil {
		return err
	}
	if err := os.Remove(e.path(name)); err != nil {
		return err
	}
	return e.note("stop %s", name)
}

// stall works for ever where a test has made the FIFO DIR/stall, and says there
// that it has begun.
func (e engine) stall(ctx context.Context) error {
	f, err := os.OpenFile(filepath.Join(e.dir, "stall"), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// healthy fails for an image whose digest a test has written into DIR/sick.
func (e engine) healthy(images []string) error {
	f, err := os.Open(filepath.Join(e.dir, "sick"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		sick := func(image string) bool { return strings.HasSuffix(image, "@"+lines.Text()) }
		if slices.ContainsFunc(images, sick) {
			return reason.New(reason.Health, "image %s is listed as sick", lines.Text())
		}
	}
	return nil
}

// pull fetches an image from the agent's loopback registry: its manifest, and
// what that names.
func (e engine) pull(ctx context.Context, reference string) error {
	if err := fault.Point("engine.pull"); err != nil {
		return err
	}
	name, dgst, _ := strings.Cut(reference, "@")
	host, repository, _ := strings.Cut(name, "/")
	base := "http://" + host + "/v2/" + repository
	data, err := e.fetch(ctx, base+"/manifests/", ocispec.Descriptor{Digest: digest.Digest(dgst), Size: oci.MaxManifestBytes})
	if err != nil {
		return err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", dgst, err)
	}
	for _, d := range append(m.Layers, m.Config) {
		if _, err := e.fetch(ctx, base+"/blobs/", d); err != nil {
			return err
		}
	}
	return nil
}

func (e engine) fetch(ctx context.Context, base string, d ocispec.Descriptor) ([]byte, error) {
	path := filepath.Join(e.dir, "content", d.Digest.Encoded())
	if data, err := os.ReadFile(path); err == nil {
		return data, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+d.Digest.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, reason.Wrap(reason.Unreachable, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, d.Size+1))
	if err != nil || resp.StatusCode != http.StatusOK || digest.FromBytes(data) != d.Digest {
		return nil, reason.New(reason.DigestMismatch, "pull %s: %s, %d bytes, %v", d.Digest, resp.Status, len(data), err)
	}
	if err := os.WriteFile(path+"~", data, 0o600); err != nil {
		return nil, err
	}
	if err := os.Rename(path+"~", path); err != nil {
		return nil, err
	}
	return data, e.note("pull %s", d.Digest)
}

package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consign-dev/consign/internal/agent/doctor"
	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/store"
)

func (x *examiner) engine(ctx context.Context) doctor.Engine {
	e := doctor.Engine{Address: x.a.cfg.Engine}
	if e.Address == "" {
		return e
	}
	program, err := x.a.program("applier-compose")
	if err != nil {
		e.Err = err
		return e
	}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	var seen apply.InfoResult
	seen, e.Err = (&apply.Compose{Program: program, Engine: e.Address, Registry: x.a.cfg.RegistryAddress}).Info(ctx)
	e.Version, e.APIVersion, e.Driver, e.DataRoot = seen.Version, seen.APIVersion, seen.Driver, seen.DataRoot
	e.Images, e.ImageBytes = seen.Images, seen.ImageBytes
	// The data root may be in another mount namespace, or out of this user's reach.
	if space, err := store.SpaceAt(seen.DataRoot); err == nil {
		e.Space = (*doctor.Space)(&space)
	}
	return e
}

func (x *examiner) cluster(ctx context.Context) doctor.Cluster {
	c := doctor.Cluster{Kubeconfig: x.a.cfg.Kubeconfig}
	if c.Kubeconfig == "" {
		return c
	}
	program, err := x.a.program("applier-helm")
	if err != nil {
		c.Err = err
		return c
	}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	seen, err := (&apply.Chart{Program: program, Kubeconfig: c.Kubeconfig}).Info(ctx)
	c.Version, c.Nodes, c.Err = seen.Capabilities.KubeVersion, seen.Nodes, err
	return c
}

func (x *examiner) disk() doctor.Disk {
	d := doctor.Disk{Reserve: store.Reserve}
	space, err := store.SpaceAt(existing(x.a.dirs.root))
	if err != nil {
		d.Err = err
		return d
	}
	d.Space = doctor.Space(space)
	if x.a.state == nil {
		d.Unknown = true
		return d
	}
	needed, err := x.a.store.Closure(x.a.state.needed()...)
	if err != nil {
		d.StoreErr = err
		return d
	}
	u, err := x.a.store.Usage(needed)
	d.Content, d.Needed, d.Partial, d.StoreErr = u.Content, u.Needed, u.Partial, err
	return d
}

// existing is path or the nearest directory above it that is there.
func existing(path string) string {
	for path != "/" {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}

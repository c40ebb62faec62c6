package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/store"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// Data says what is known of the data in a deployment's volumes while an apply
// has begun and nothing has settled it. A crash leaves the last value, so each is
// written before the step that could make it untrue.
type Data string

const (
	// dataUnknown: what was begun may have written, and there is no copy.
	dataUnknown Data = ""
	// dataWhole: it is what the last good version left. A copy, if there is one, is
	// not complete or not needed any more.
	dataWhole Data = "whole"
	// dataCopied: it was copied, and what was begun may have written since. The
	// copy is the only one of what the last good version left.
	dataCopied Data = "copied"
	// dataReturning: it is being put back from the copy and may be half of it.
	dataReturning Data = "returning"
)

// dataCopy is copy.json, the manifest of a copy: without it there is none.
type dataCopy struct {
	Deployment string `json:"deployment"`
	// Version wrote the data; Render is the digest of what ran, as in Installation.
	Version string         `json:"version"`
	Render  digest.Digest  `json:"render"`
	Volumes []apply.Volume `json:"volumes"`
}

func (c dataCopy) String() string {
	var size int64
	for _, v := range c.Volumes {
		size += v.Size
	}
	return fmt.Sprintf("the data of %d volume(s) of %s, %.1f MiB", len(c.Volumes), c.Version, float64(size)/(1<<20))
}

// secureData makes sure, before a permit is applied, that the data of what runs
// can come back if the policy asks for that. It first finishes a return that was
// interrupted. It never copies what a version that has not become good may have
// written to: then the first copy stays. note says what was copied, and is empty
// when nothing was stopped for it.
func (a *Agent) secureData(ctx context.Context, p *verify.Permit, before []apply.Part) (note string, err error) {
	id := p.Verdict().Order().Deployment().ID
	if _, err := a.returnData(ctx, id, dataReturning); err != nil {
		return "", err
	}
	in, installed := a.state.Installed[id]
	switch {
	case a.state.Begun[id].Data != dataWhole:
		return "", nil
	case !installed || !snapshots(p):
		return "", a.setData(id, dataUnknown)
	default:
		return a.copyData(ctx, p, in, before)
	}
}

// snapshots reports what the policy that verified a permit says of data.
func snapshots(p *verify.Permit) bool {
	rel := p.Verdict().Release()
	app, err := rel.Policy().Trust().Application(rel.Bundle().Application)
	return err == nil && app.DataPolicy == policy.Snapshot
}

// copyData stops what runs and copies its data.
func (a *Agent) copyData(ctx context.Context, p *verify.Permit, in Installation, before []apply.Part) (note string, err error) {
	keeper, err := a.applier.Keeper(in.Parts())
	if err != nil {
		return "", err
	}
	dir := a.dirs.copyOf(in.Deployment)
	if err := durable.RemoveAll(dir); err != nil { // the rest of one that was interrupted
		return "", err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	space, err := store.SpaceAt(dir)
	if err != nil {
		return "", err
	}
	c := dataCopy{Deployment: in.Deployment, Version: in.Version, Render: in.Manifest}
	if c.Volumes, err = keeper.Snapshot(ctx, p, before, dir, space.Free-store.Reserve); err != nil {
		return "", err
	}
	if err := writeJSON(filepath.Join(dir, copyManifest), c); err != nil {
		return "", err
	}
	// A manifest that cannot be read back, too long for one, is better met now.
	if _, err := a.dirs.loadCopy(in.Deployment); err != nil {
		return "", err
	}
	if err := a.setData(in.Deployment, dataCopied); err != nil || len(c.Volumes) == 0 {
		return "", err
	}
	return c.String() + ", was copied first", nil
}

// returnData puts the copied data of a deployment back when its state is one of
// those given. note says what was put back.
func (a *Agent) returnData(ctx context.Context, id string, when ...Data) (note string, err error) {
	if !slices.Contains(when, a.state.Begun[id].Data) {
		return "", nil
	}
	keeper, err := a.applier.Keeper(a.state.Installed[id].Parts())
	if err != nil {
		return "", err
	}
	c, err := a.dirs.loadCopy(id)
	if err != nil {
		return "", err
	}
	renders, err := a.storedRenders(ctx, a.state.Installed[id])
	if err != nil {
		return "", err
	}
	if err := a.setData(id, dataReturning); err != nil {
		return "", err
	}
	if err := keeper.RestoreData(ctx, id, renders, a.dirs.copyOf(id), c.Volumes); err != nil {
		return "", err
	}
	if err := a.setData(id, dataWhole); err != nil || len(c.Volumes) == 0 {
		return "", err
	}
	return c.String() + ", was put back", nil
}

func (a *Agent) setData(id string, d Data) error {
	b := a.state.Begun[id]
	b.Data = d
	a.state.Begun[id] = b
	return a.dirs.saveState(a.state)
}

const copyManifest = "copy.json"

func (d dirs) snapshots() string               { return filepath.Join(d.root, "snapshots") }
func (d dirs) copyOf(deployment string) string { return filepath.Join(d.snapshots(), deployment) }

func (d dirs) loadCopy(deployment string) (c dataCopy, err error) {
	if err := readJSON(filepath.Join(d.copyOf(deployment), copyManifest), &c); err != nil {
		return c, fmt.Errorf("the copy of the data: %w", err)
	}
	return c, nil
}

// dropCopies deletes the copies that the state does not know to be needed: after
// a settled apply, a return or a removal, and what a crash left of these.
func (a *Agent) dropCopies() error {
	entries, err := os.ReadDir(a.dirs.snapshots())
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if d := a.state.Begun[e.Name()].Data; d == dataCopied || d == dataReturning {
			continue
		}
		if err := durable.RemoveAll(filepath.Join(a.dirs.snapshots(), e.Name())); err != nil {
			return fmt.Errorf("delete a copy of data: %w", err)
		}
	}
	return nil
}

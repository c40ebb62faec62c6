// Package pack turns a Margo package directory into a bundle.
//
// The directory holds margo.yaml, the resources it names, components/<name>/
// with the source of each component and images/ with OCI layouts; what is not
// there is resolved from registries once and pinned in consign.lock.
// docs/spec/bundle.md describes the directory, the lock and the result.
//
// The result is a closed graph in an OCI image layout: the bundle index, the
// package manifest, the components and every image that they name, each image
// with all its platforms. It depends on the bytes of the input and on the pins
// and on nothing else, so that the same input packed on two machines has one
// digest; margo.yaml goes in byte for byte.
//
// Layers are streamed. Only manifests, Compose archives and charts, which are
// bounded, are held in memory.
//
// The trap: which image a component runs must be settled here. A reference
// that a parameter could change is refused, since a deployment would then
// choose an image that no signature covers.
package pack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
)

// Options say what to pack.
type Options struct {
	// Dir is the package directory.
	Dir string
	// Out receives the bundle; its index.json will list the bundle alone.
	Out *oci.Layout
	// Client reaches the registries of what is not in the directory.
	Client *oci.Client
	// Images gives images by reference, in any form that Compose accepts. A
	// value is "oci:DIR", "docker-archive:FILE" or "docker-daemon:REFERENCE";
	// paths are relative to the working directory.
	Images map[string]string
	// Platforms, if any, are those that the bundle is for: of an image's index only
	// these go in. Without, images go in whole.
	Platforms []ocispec.Platform
	// Locked demands that consign.lock pins every name that would be resolved,
	// and stays as it is.
	Locked bool
	// Rehearse leaves consign.lock as it is; [Result] says what would become of it.
	Rehearse bool
	// Channel is the repository of the release channel that the bundle is
	// meant for, if it is known. It only serves a warning.
	Channel string
	// Engine is the socket of the Docker engine for docker-daemon images,
	// [DefaultEngine] if empty.
	Engine string
	// ChartImages lists the image references that a chart names with the values of
	// its package's parameters, by rendering it. Charts are refused without.
	ChartImages func(ctx context.Context, chart []byte, values map[string]json.RawMessage) ([]string, error)
	// Log is told what is copied from where; nil is silence.
	Log *slog.Logger
}

// Result is what was packed.
type Result struct {
	// Descriptor is the bundle's, with media type and artifact type.
	Descriptor ocispec.Descriptor
	// Bundle is what it lists; its package manifest is the one to tag with
	// the version, its components the ones to tag with their revisions.
	Bundle *bundle.Bundle
	// Description is margo.yaml.
	Description *margo.ApplicationDescription
	// Pins are what this pack adds to consign.lock, and Unpinned the names that
	// it takes out.
	Pins     []Pin
	Unpinned []string
	// Warnings are for the person who packs: nothing is wrong by the rules,
	// but something may surprise later.
	Warnings []string
}

// Pack packs o.Dir into o.Out. Input that breaks a rule is refused with a
// reason; consign.lock is written last, and only if it changed and o does not
// only rehearse.
func Pack(ctx context.Context, o Options) (Result, error) {
	p, err := newPacker(o)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	if err := p.pack(ctx); err != nil {
		return Result{}, err
	}
	return p.result, nil
}

type packer struct {
	Options
	root   *os.Root
	desc   *margo.ApplicationDescription
	lock   *lock
	given  map[string]givenImage // by normalised reference
	local  []localImage          // what images/ offers
	temps  []string              // files to remove at the end
	result Result

	bundle bundle.Bundle
	// wanted are the references that components name: for each normalised
	// one, the component that names it first.
	wanted map[string]string
}

func newPacker(o Options) (*packer, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open package directory: %w", err)
	}
	p := &packer{Options: o, root: root, wanted: map[string]string{}}
	if err := p.load(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// load reads all that decides how to pack, before anything is written.
func (p *packer) load() error {
	data, err := durable.ReadFile(filepath.Join(p.Dir, margo.DescriptionFile), bundle.MaxDocumentBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return reason.New(reason.Malformed, "%s has no %s: name the directory of a Margo application package", p.Dir, margo.DescriptionFile)
	}
	if err != nil {
		return fmt.Errorf("read package: %w", err)
	}
	if p.desc, err = margo.ParseDescription(data); err != nil {
		return err
	}
	if err := checkProfiles(p.desc); err != nil {
		return err
	}
	if p.lock, err = openLock(filepath.Join(p.Dir, LockFile), p.Locked); err != nil {
		return err
	}
	if p.given, err = parseGiven(p.Images); err != nil {
		return err
	}
	p.local, err = findLocal(p.Dir)
	return err
}

func (p *packer) close() {
	for _, f := range p.temps {
		_ = os.Remove(f)
	}
	_ = p.root.Close()
}

func (p *packer) warn(format string, args ...any) {
	p.result.Warnings = append(p.result.Warnings, fmt.Sprintf(format, args...))
}

func (p *packer) pack(ctx context.Context) error {
	p.bundle.Application, p.bundle.Version = p.desc.ID, p.desc.Metadata.Version
	if _, err := p.Out.PutBytes(ocispec.MediaTypeEmptyJSON, bundle.EmptyConfig()); err != nil {
		return err
	}
	if err := p.packDescription(ctx); err != nil {
		return err
	}
	if err := p.packComponents(ctx); err != nil {
		return err
	}
	if err := p.packImages(ctx); err != nil {
		return err
	}
	if err := p.warnPlaces(); err != nil {
		return err
	}
	return p.finish()
}

// finish writes the bundle and, when nothing can fail any more but the disk,
// the pins.
func (p *packer) finish() error {
	data, desc, err := bundle.Build(p.bundle)
	if err != nil {
		return err
	}
	if _, err := p.Out.PutBytes(desc.MediaType, data); err != nil {
		return err
	}
	listed := desc
	listed.Annotations = map[string]string{ocispec.AnnotationRefName: p.bundle.Version}
	if err := p.Out.SetIndex(listed); err != nil {
		return err
	}
	p.result.Pins, p.result.Unpinned = p.lock.added(), p.lock.unused()
	if err := p.lock.save(p.Rehearse); err != nil {
		return err
	}
	p.result.Descriptor, p.result.Description = desc, p.desc
	p.result.Bundle, err = bundle.Parse(data)
	return err
}

// checkProfiles refuses what this version cannot pack. A package is packed
// whole or not at all: a bundle without one of its profiles would not be what
// margo.yaml says.
func checkProfiles(d *margo.ApplicationDescription) error {
	for _, profile := range d.DeploymentProfiles {
		if profile.Type != margo.TypeCompose && profile.Type != margo.TypeHelm {
			return reason.New(reason.Malformed,
				"%s: profile %q is of type %s: compose and helm profiles can be packed; take the profile out or publish it by other means",
				margo.DescriptionFile, profile.ID, profile.Type)
		}
	}
	return nil
}

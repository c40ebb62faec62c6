package pack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// LockFile is the name of the file that pins what registries answered.
const LockFile = "consign.lock"

const (
	lockVersion = 1
	// maxLockBytes is some thousand pins.
	maxLockBytes = 1 << 20
)

// lockDocument is the file: digests by name.
type lockDocument struct {
	LockVersion int                      `json:"lockVersion"`
	Components  map[string]digest.Digest `json:"components,omitempty"`
	Images      map[string]digest.Digest `json:"images,omitempty"`
}

// parseLock reads consign.lock strictly.
func parseLock(data []byte) (lockDocument, error) {
	var doc lockDocument
	if err := strictjson.Unmarshal(data, &doc, strictjson.Limits{Bytes: maxLockBytes, Depth: 3}); err != nil {
		return doc, fmt.Errorf("%s: %w", LockFile, err)
	}
	if doc.LockVersion != lockVersion {
		return doc, reason.New(reason.Malformed, "%s: lockVersion %d: this version reads %d", LockFile, doc.LockVersion, lockVersion)
	}
	for name, d := range doc.Components {
		if !strings.HasPrefix(name, repositoryScheme) {
			return doc, reason.New(reason.Malformed, "%s: components: %q: want oci://repository:revision", LockFile, name)
		}
		if _, err := oci.ParseDigest(string(d)); err != nil {
			return doc, fmt.Errorf("%s: components: %q: %w", LockFile, name, err)
		}
	}
	for name, d := range doc.Images {
		if normal, err := bundle.NormalizeReference(name); err != nil || normal != name || bundle.ReferenceDigest(name) != "" {
			return doc, reason.New(reason.Malformed, "%s: images: %q: want a full reference with a tag, such as docker.io/library/nginx:1.27", LockFile, name)
		}
		if _, err := oci.ParseDigest(string(d)); err != nil {
			return doc, fmt.Errorf("%s: images: %q: %w", LockFile, name, err)
		}
	}
	return doc, nil
}

// encodeLock writes a document in its one form: sorted, indented, so that
// changes to it read well in a review.
func encodeLock(doc lockDocument) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(doc)
	return buf.Bytes(), err
}

// lock is consign.lock while a package is packed.
type lock struct {
	path   string
	frozen bool // nothing is resolved, nothing is written
	exists bool
	old    lockDocument
	// now holds the pins that this package still needs.
	now lockDocument
}

func openLock(path string, frozen bool) (*lock, error) {
	l := &lock{path: path, frozen: frozen, now: lockDocument{
		LockVersion: lockVersion, Components: map[string]digest.Digest{}, Images: map[string]digest.Digest{},
	}}
	data, err := durable.ReadFile(path, maxLockBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	l.exists = true
	l.old, err = parseLock(data)
	return l, err
}

func (l *lock) component(key string, resolve func() (digest.Digest, error)) (digest.Digest, error) {
	return l.pin("components", l.old.Components, l.now.Components, key, resolve)
}

func (l *lock) image(ref string, resolve func() (digest.Digest, error)) (digest.Digest, error) {
	return l.pin("images", l.old.Images, l.now.Images, ref, resolve)
}

// pin returns the pinned digest of key, or resolves and pins it.
func (l *lock) pin(kind string, old, now map[string]digest.Digest, key string, resolve func() (digest.Digest, error)) (digest.Digest, error) {
	if d, ok := old[key]; ok {
		now[key] = d
		return d, nil
	}
	if d, ok := now[key]; ok {
		return d, nil
	}
	if l.frozen {
		return "", reason.New(reason.ImageUnpinned, "%s: %s: %q is not pinned, and --locked resolves nothing; pack once without --locked and keep the file", LockFile, kind, key)
	}
	d, err := resolve()
	if err != nil {
		return "", err
	}
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return "", err
	}
	now[key] = d
	return d, nil
}

// keepImage says that ref is still in use although its image comes from
// elsewhere, and returns its pin, if any.
func (l *lock) keepImage(ref string) (digest.Digest, bool) {
	d, ok := l.old.Images[ref]
	if ok {
		l.now.Images[ref] = d
	}
	return d, ok
}

// Pin is a name that was resolved, and to what.
type Pin struct {
	// Name is an image reference with a tag, or oci://repository:revision of a
	// component.
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

// added lists the pins that the file does not have yet.
func (l *lock) added() []Pin {
	var pins []Pin
	for _, pair := range [][2]map[string]digest.Digest{{l.old.Components, l.now.Components}, {l.old.Images, l.now.Images}} {
		for _, name := range slices.Sorted(maps.Keys(pair[1])) {
			if _, ok := pair[0][name]; !ok {
				pins = append(pins, Pin{name, pair[1][name]})
			}
		}
	}
	return pins
}

// save writes the pins if they changed. A package that needs none gets no file.
// A rehearsal fails as a save would and writes nothing.
func (l *lock) save(rehearse bool) error {
	if maps.Equal(l.old.Components, l.now.Components) && maps.Equal(l.old.Images, l.now.Images) {
		return nil
	}
	if l.frozen {
		return fmt.Errorf("%s: nothing needs the pin of %s any more; pack once without --locked and keep the file", LockFile, strings.Join(quoted(l.unused()), ", "))
	}
	if rehearse {
		return nil
	}
	data, err := encodeLock(l.now)
	if err != nil {
		return fmt.Errorf("write pins: %w", err)
	}
	if err := fault.Point("pack.lock"); err != nil {
		return err
	}
	if err := durable.WriteFile(l.path, data, 0o644); err != nil {
		return fmt.Errorf("write pins: %w", err)
	}
	return nil
}

// unused lists the names of the file that nothing needs any more.
func (l *lock) unused() []string {
	var names []string
	for _, pair := range [][2]map[string]digest.Digest{{l.old.Components, l.now.Components}, {l.old.Images, l.now.Images}} {
		for _, name := range slices.Sorted(maps.Keys(pair[0])) {
			if _, ok := pair[1][name]; !ok {
				names = append(names, name)
			}
		}
	}
	return names
}

func quoted(names []string) []string {
	var out []string
	for _, name := range names {
		out = append(out, strconv.Quote(name))
	}
	return out
}

// withPinHint explains a pinned object that its registry does not have.
func withPinHint(err error, name string) error {
	if errors.Is(err, oci.ErrNotFound) {
		return fmt.Errorf("%w; if it was removed there, delete the line of %q from %s to resolve it again", err, name, LockFile)
	}
	return err
}

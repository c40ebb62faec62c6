package tufclient

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

// The newest documents of all roles need not belong together: a refresh may
// end between two of them. So a refresh that comes through keeps the whole set
// beside them, versions in the names, the timestamp last.

func completeFile(role string, version int64) string {
	name := diskName(role) + ".json"
	if role != metadata.TIMESTAMP {
		name = strconv.FormatInt(version, 10) + "." + name
	}
	return filepath.Join(completeDir, name)
}

// keepComplete stores the set that s accepted. Roles that s did not need stay
// as long as the snapshot lists their version.
func (d disk) keepComplete(s *session) error {
	files := map[string][]byte{completeFile(metadata.SNAPSHOT, s.snapshot.head.version): s.snapshot.raw}
	for role, doc := range s.roles {
		files[completeFile(role, doc.head.version)] = doc.raw
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := d.writeChanged(name, files[name], MaxTargets); err != nil {
			return err
		}
	}
	if err := d.writeChanged(completeFile(metadata.TIMESTAMP, 0), s.timestamp.raw, MaxTimestamp); err != nil {
		return err
	}
	return d.prune(s.snapshot)
}

func (d disk) writeChanged(name string, data []byte, max int64) error {
	if old, err := d.read(name, max); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return d.write(name, data)
}

// prune removes what no longer belongs to the set.
func (d disk) prune(snap *snapshotDoc) error {
	keep := map[string]bool{
		completeFile(metadata.TIMESTAMP, 0):                true,
		completeFile(metadata.SNAPSHOT, snap.head.version): true,
	}
	for file, m := range snap.meta.Signed.Meta {
		if role, ok := roleOfFile(file); ok {
			keep[completeFile(role, m.Version)] = true
		}
	}
	entries, err := os.ReadDir(d.path(completeDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := filepath.Join(completeDir, e.Name()); !keep[name] {
			if err := d.remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete reads the kept set, by [FileName].
func (d disk) complete() (fileSet, error) {
	entries, err := os.ReadDir(d.path(completeDir))
	if err != nil {
		return nil, fmt.Errorf("read stored metadata: %w", err)
	}
	files := fileSet{}
	for _, e := range entries {
		role, version, ok := parseCompleteFile(e.Name())
		if !ok {
			continue
		}
		data, err := durable.ReadFile(d.path(completeFile(role, version)), MaxTargets)
		if err != nil {
			return nil, fmt.Errorf("read stored metadata: %w", err)
		}
		files[FileName(role, version)] = data
	}
	if files[FileName(metadata.TIMESTAMP, 0)] == nil {
		return nil, reason.New(reason.Unreachable, "no whole set of metadata is stored in %s yet; refresh first: %w", d.dir, fs.ErrNotExist)
	}
	return files, nil
}

// parseCompleteFile is the inverse of [completeFile]. Other files, such as the
// temporary ones of a killed process, are not ok.
func parseCompleteFile(base string) (role string, version int64, ok bool) {
	name, _ := roleOfFile(base)
	if number, rest, found := strings.Cut(name, "."); found {
		version, _ = strconv.ParseInt(number, 10, 64) // a fault shows below
		name = rest
	}
	role, err := url.PathUnescape(name)
	return role, version, err == nil && filepath.Base(completeFile(role, version)) == base
}

package tufclient

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/fault"
)

// state is where the workflow remembers. Names are made by this package from
// encoded parts.
type state interface {
	// read returns nil when there is no such file.
	read(name string, max int64) ([]byte, error)
	write(name string, data []byte) error
	remove(name string) error
	// path is the name as messages show it.
	path(name string) string
	// evidence keeps data for people and returns where.
	evidence(data []byte) (string, error)
}

const (
	rootsDir    = "roots"
	completeDir = "complete"
	evidenceDir = "evidence"
)

func currentFile(role string) string { return diskName(role) + ".json" }

func rootFile(version int64) string {
	return filepath.Join(rootsDir, fmt.Sprintf("%d.root.json", version))
}

// disk is the state directory of a client.
type disk struct{ dir string }

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d disk) read(name string, max int64) ([]byte, error) {
	data, err := durable.ReadFile(d.path(name), max)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (d disk) write(name string, data []byte) error {
	if err := fault.Point("tufclient.write"); err != nil {
		return err
	}
	if err := durable.WriteFile(d.path(name), data, 0o600); err != nil {
		return fmt.Errorf("store trusted metadata: %w", err)
	}
	return nil
}

// sweep removes what a killed process left. What completeDir holds is for prune.
func (d disk) sweep() error {
	for _, name := range []string{"", rootsDir, evidenceDir} {
		if err := durable.Sweep(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("store trusted metadata: %w", err)
		}
	}
	return nil
}

func (d disk) remove(name string) error {
	if err := fault.Point("tufclient.remove"); err != nil {
		return err
	}
	return durable.Remove(d.path(name))
}

func (d disk) evidence(data []byte) (string, error) {
	sum := sha256.Sum256(data)
	name := filepath.Join(evidenceDir, hex.EncodeToString(sum[:])+".json")
	if old, err := d.read(name, MaxTargets); err != nil || old != nil {
		return d.path(name), err
	}
	entries, err := os.ReadDir(d.path(evidenceDir))
	if err != nil {
		return "", err
	}
	if len(entries) >= maxEvidence {
		return "", fmt.Errorf("%s holds %d files already", d.path(evidenceDir), len(entries))
	}
	return d.path(name), d.write(name, data)
}

// memory is the state of a verification that leaves no trace.
type memory map[string][]byte

func (m memory) read(name string, _ int64) ([]byte, error) { return m[name], nil }
func (m memory) write(name string, data []byte) error      { m[name] = data; return nil }
func (m memory) remove(name string) error                  { delete(m, name); return nil }
func (m memory) path(name string) string                   { return name }
func (m memory) evidence([]byte) (string, error)           { return "memory", nil }

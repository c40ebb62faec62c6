package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// InitInput says which device this is and whom it obeys.
type InitInput struct {
	// Device is the Margo device id.
	Device string
	// Channel is the repository of the deployment channel.
	Channel string
	// Root is the exact content of the operator's root.json. It is the device's
	// one anchor, so it comes from a file and never from the network.
	Root []byte
	// RootSHA256, if not empty, is the lower-case hexadecimal SHA-256 that Root
	// must have: for a root that was carried over an untrusted path.
	RootSHA256 string
	// Program is written into the log's first event, such as "agent 1.0.0".
	Program string
	Now     time.Time
}

// Init makes a state directory: it pins the root, makes the log key and begins
// the log. A directory that is initialised already is refused, since a new
// identity there would hide the history of the old one. device.json is written
// last; an interrupted Init can be run again.
func Init(ctx context.Context, cfg Config, in InitInput) (*Identity, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	client, err := newClient(cfg, Options{})
	if err != nil {
		return nil, err
	}
	if _, err := client.Repository(in.Channel); err != nil {
		return nil, fmt.Errorf("deployment channel: %w", err)
	}
	d := dirs{cfg.StateDir}
	if err := durable.MkdirAll(d.root, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	if err := checkDirOwner(d.root); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := durable.TryLock(d.lock())
	if err != nil {
		return nil, lockError(d, err)
	}
	defer lock.Unlock()
	if _, err := durable.ReadFile(d.identity(), maxStateBytes); !errors.Is(err, fs.ErrNotExist) {
		return nil, reason.New(reason.Exists, "%s is initialised already: a device keeps its identity and its log; use another state directory, or retire this one by moving it away", d.root)
	}
	if err := d.clearUnfinished(); err != nil {
		return nil, err
	}
	if err := pinOperator(d, in.Root); err != nil {
		return nil, fmt.Errorf("operator root: %w", err)
	}
	private, public, err := audit.GenerateKey(in.Device)
	if err != nil {
		return nil, err
	}
	if err := durable.WriteFile(d.logKey(), []byte(private+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write log key: %w", err)
	}
	if err := beginLog(ctx, d, in, private); err != nil {
		return nil, err
	}
	id := &Identity{Device: in.Device, Channel: in.Channel, LogKey: public}
	return id, writeJSON(d.identity(), id)
}

// pinOperator makes root the one anchor of this device. Only a root that says it
// is of a deployment channel will do: pinning a supplier's root by mistake would
// hand the device to the supplier.
func pinOperator(d dirs, root []byte) error {
	id, err := tufclient.RootIdentity(root)
	if err != nil {
		return err
	}
	if id.Kind != tufclient.KindDeployments {
		return reason.New(reason.WrongChannel, "this is the root of a %s, a device obeys a deployment channel", id)
	}
	return tufclient.Init(d.operator(), root, id)
}

func (in InitInput) check() error {
	if err := margo.CheckDeviceID(in.Device); err != nil {
		return err
	}
	sum := sha256.Sum256(in.Root)
	if want := strings.TrimPrefix(in.RootSHA256, "sha256:"); want != "" && want != hex.EncodeToString(sum[:]) {
		return reason.New(reason.DigestMismatch, "operator root: the file hashes to sha256:%x, expected was sha256:%s: ask the operator for both again", sum, want)
	}
	return nil
}

// clearUnfinished removes what an Init that was interrupted before device.json
// left: none of it has been shown to anyone.
func (d dirs) clearUnfinished() error {
	for _, path := range []string{d.operator(), d.log(), d.logKey()} {
		if err := durable.RemoveAll(path); err != nil {
			return fmt.Errorf("clear an unfinished initialisation: %w", err)
		}
	}
	return nil
}

// beginLog makes the log and signs its first event at once: an auditor's
// earliest anchor is the checkpoint over the pinned root.
func beginLog(ctx context.Context, d dirs, in InitInput, private string) error {
	key, err := audit.ParseKey(private)
	if err != nil {
		return err
	}
	if err := audit.Create(ctx, d.log(), key); err != nil {
		return err
	}
	log, err := audit.Open(ctx, d.log(), key, in.Device)
	if err != nil {
		return err
	}
	defer log.Close()
	first := audit.Event{Kind: audit.Initialised, Root: digest.SHA256.FromBytes(in.Root), Program: in.Program}
	if _, err := log.Append(in.Now, first); err != nil {
		return err
	}
	return log.Integrate(ctx)
}

func lockError(d dirs, err error) error {
	if errors.Is(err, durable.ErrLocked) {
		return reason.New(reason.Conflict, "another agent works on %s: %w", d.root, err)
	}
	return fmt.Errorf("lock state directory: %w", err)
}

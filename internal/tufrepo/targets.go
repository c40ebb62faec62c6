package tufrepo

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// Target is what a role says about a target path: the OCI manifest with that
// digest and size in bytes.
type Target struct {
	Digest digest.Digest `json:"digest"`
	Length int64         `json:"length"`
	// Custom is a JSON object; nil for none.
	Custom json.RawMessage `json:"custom,omitempty"`
}

// maxTargetName bounds target paths: a Margo application id or device id of
// 200 bytes, percent-encoded, and a version.
const maxTargetName = 1024

// SetTarget makes role list name as t. Saying what the role says already
// changes nothing and costs no signature.
func (r *Repo) SetTarget(role, name string, t Target) error {
	doc, err := r.targets(role, name)
	if err != nil {
		return err
	}
	file, err := t.file(name)
	if err != nil {
		return err
	}
	if old := doc.Signed.Targets[name]; old != nil && same(old, file) {
		return nil
	}
	r.changes = append(r.changes, Change{Role: role, Name: name, Before: r.Target(role, name), After: targetOf(file)})
	doc.Signed.Targets[name] = file
	r.changed[role] = true
	return nil
}

// RemoveTarget makes role list name no more. It is no error if it did not.
func (r *Repo) RemoveTarget(role, name string) error {
	doc, err := r.targets(role, name)
	if err != nil {
		return err
	}
	if _, ok := doc.Signed.Targets[name]; ok {
		r.changes = append(r.changes, Change{Role: role, Name: name, Before: r.Target(role, name)})
		delete(doc.Signed.Targets, name)
		r.changed[role] = true
	}
	return nil
}

// Renew makes the next Sign sign role anew, with a new expiry, although its
// content has not changed.
func (r *Repo) Renew(role string) error {
	if role != Root && role != Snapshot && r.roles[role] == nil {
		return fmt.Errorf("renew: the channel has no role %q", role)
	}
	r.changed[role] = true
	return nil
}

// Aging returns the roles, other than the timestamp, that have used up more
// than half of their lifetime at now, and need their keys before long.
func (r *Repo) Aging(now time.Time) []string {
	expires := map[string]time.Time{Root: r.root.Signed.Expires, Snapshot: r.snapshot.Signed.Expires}
	for role, doc := range r.roles {
		expires[role] = doc.Signed.Expires
	}
	var out []string
	for role, t := range expires {
		if t.Sub(now) < lifetime(role)/2 {
			out = append(out, role)
		}
	}
	slices.Sort(out)
	return out
}

// targets returns the document of a role that may list name.
func (r *Repo) targets(role, name string) (*metadata.Metadata[metadata.TargetsType], error) {
	doc := r.roles[role]
	if doc == nil {
		return nil, fmt.Errorf("target %q: the channel has no role %q", name, role)
	}
	if name == "" || len(name) > maxTargetName || path.Clean("/"+name) != "/"+name {
		return nil, reason.New(reason.Malformed, "target %q: want a clean relative path of at most %d bytes", name, maxTargetName)
	}
	if ok, _ := path.Match(DeployPaths, name); role == Deploy && !ok {
		return nil, reason.New(reason.Malformed, "target %q: role %s may speak for %s only", name, role, DeployPaths)
	}
	return doc, nil
}

func (t Target) file(name string) (*metadata.TargetFiles, error) {
	if err := t.Digest.Validate(); err != nil || t.Digest.Algorithm() != digest.SHA256 {
		return nil, reason.New(reason.Malformed, "target %q: digest %q is not a sha256 digest", name, t.Digest)
	}
	if t.Length < 1 {
		return nil, reason.New(reason.Malformed, "target %q: length %d is less than 1", name, t.Length)
	}
	sum, err := hex.DecodeString(t.Digest.Encoded())
	if err != nil {
		return nil, err
	}
	file := &metadata.TargetFiles{Length: t.Length, Hashes: metadata.Hashes{"sha256": sum}, Path: name}
	if t.Custom != nil {
		var compact bytes.Buffer
		if err := json.Compact(&compact, t.Custom); err != nil || !strings.HasPrefix(compact.String(), "{") {
			return nil, reason.New(reason.Malformed, "target %q: custom is not a JSON object", name)
		}
		raw := json.RawMessage(compact.Bytes())
		file.Custom = &raw
	}
	return file, nil
}

func same(a, b *metadata.TargetFiles) bool {
	customA, errA := json.Marshal(a.Custom)
	customB, errB := json.Marshal(b.Custom)
	return a.Equal(*b) && errA == nil && errB == nil && bytes.Equal(customA, customB)
}

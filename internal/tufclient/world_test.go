package tufclient_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// day0 is when every test world begins; its documents expire after 30 days.
var day0 = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// world is a signed repository whose every document a test can change and sign
// again, honestly or not.
type world struct {
	t    testing.TB
	id   tufclient.Identity
	keys map[string][]ed25519.PrivateKey

	root      *metadata.Metadata[metadata.RootType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	roles     map[string]*metadata.Metadata[metadata.TargetsType]

	// files is what is served now; roots stay in it.
	files    map[string][]byte
	requests []string
	// intercept, when set, may answer in place of files.
	intercept func(name string) ([]byte, error)
}

var channelA = tufclient.Identity{Kind: tufclient.KindDeployments, ID: strings.Repeat("a", 32)}

func newWorld(t testing.TB) *world { return newWorldOf(t, channelA) }

func newWorldOf(t testing.TB, id tufclient.Identity) *world {
	t.Helper()
	expires := day0.Add(30 * day)
	w := &world{
		t: t, id: id, keys: map[string][]ed25519.PrivateKey{}, files: map[string][]byte{},
		root: metadata.Root(expires), timestamp: metadata.Timestamp(expires), snapshot: metadata.Snapshot(expires),
		roles: map[string]*metadata.Metadata[metadata.TargetsType]{"targets": metadata.Targets(expires)},
	}
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		w.addKey(role, newKey())
	}
	w.root.Signed.UnrecognizedFields = map[string]any{}
	w.timestamp.Signed.UnrecognizedFields = map[string]any{}
	w.roles["targets"].Signed.UnrecognizedFields = map[string]any{}
	w.brand(id)
	w.signedAt(day0)
	w.setTarget("targets", "policy", "the policy")
	w.publishRoot()
	w.publish()
	return w
}

func newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	return key
}

func tufKey(k ed25519.PrivateKey) (*metadata.Key, string) {
	key, err := metadata.KeyFromPublicKey(k.Public())
	if err != nil {
		panic(err)
	}
	id, err := key.ID()
	if err != nil {
		panic(err)
	}
	return key, id
}

// brand writes the identity into all documents that carry it.
func (w *world) brand(id tufclient.Identity) {
	fields := []map[string]any{w.root.Signed.UnrecognizedFields, w.timestamp.Signed.UnrecognizedFields}
	for _, r := range w.roles {
		fields = append(fields, r.Signed.UnrecognizedFields)
	}
	for _, f := range fields {
		delete(f, tufclient.ChannelField)
		if id != (tufclient.Identity{}) {
			f[tufclient.ChannelField] = id.Field()
		}
	}
}

func (w *world) signedAt(t time.Time) {
	w.timestamp.Signed.UnrecognizedFields[tufclient.SignedAtField] = t.Format(time.RFC3339)
}

func (w *world) addKey(role string, k ed25519.PrivateKey) {
	w.t.Helper()
	key, _ := tufKey(k)
	if err := w.root.Signed.AddKey(key, role); err != nil {
		w.t.Fatal(err)
	}
	w.keys[role] = append(w.keys[role], k)
}

// rotate gives a top-level role one new key in place of all it had.
func (w *world) rotate(role string) {
	for _, id := range slices.Clone(w.root.Signed.Roles[role].KeyIDs) {
		if err := w.root.Signed.RevokeKey(id, role); err != nil {
			w.t.Fatal(err)
		}
	}
	w.keys[role] = nil
	w.addKey(role, newKey())
}

func (w *world) setTarget(role, name, content string) {
	file, err := metadata.TargetFile().FromBytes(name, []byte(content), "sha256")
	if err != nil {
		w.t.Fatal(err)
	}
	w.roles[role].Signed.Targets[name] = file
}

// delegate adds a role below from; a role that exists gets a further delegator.
func (w *world) delegate(from, role string, terminating bool, paths ...string) {
	w.delegateTo(from, role, newKey(), terminating, paths...)
}

func (w *world) delegateTo(from, role string, k ed25519.PrivateKey, terminating bool, paths ...string) {
	key, id := tufKey(k)
	signed := &w.roles[from].Signed
	if signed.Delegations == nil {
		signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	}
	signed.Delegations.Keys[id] = key
	signed.Delegations.Roles = append(signed.Delegations.Roles, metadata.DelegatedRole{
		Name: role, KeyIDs: []string{id}, Threshold: 1, Terminating: terminating, Paths: paths,
	})
	w.keys[role] = append(w.keys[role], k)
	if w.roles[role] == nil {
		w.roles[role] = metadata.Targets(day0.Add(30 * day))
		w.roles[role].Signed.UnrecognizedFields = map[string]any{}
		w.brand(w.id)
	}
}

func encode[T metadata.Roles](t testing.TB, doc *metadata.Metadata[T], keys []ed25519.PrivateKey) []byte {
	t.Helper()
	payload, err := cjson.EncodeCanonical(doc.Signed)
	if err != nil {
		t.Fatal(err)
	}
	doc.Signatures = []metadata.Signature{}
	for _, k := range keys {
		_, id := tufKey(k)
		doc.Signatures = append(doc.Signatures, metadata.Signature{KeyID: id, Signature: ed25519.Sign(k, payload)})
	}
	data, err := doc.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// publishRoot signs the root with the keys given, or its own.
func (w *world) publishRoot(more ...ed25519.PrivateKey) {
	w.t.Helper()
	keys := slices.Concat(more, w.keys["root"])
	w.files[fmt.Sprintf("%d.root.json", w.root.Signed.Version)] = encode(w.t, w.root, keys)
}

// nextRoot raises the root's version and publishes it, signed by the keys of
// before and after change.
func (w *world) nextRoot(change func()) {
	w.t.Helper()
	old := slices.Clone(w.keys["root"])
	change()
	w.root.Signed.Version++
	var more []ed25519.PrivateKey
	for _, k := range old {
		if !slices.ContainsFunc(w.keys["root"], func(n ed25519.PrivateKey) bool { return n.Equal(k) }) {
			more = append(more, k)
		}
	}
	w.publishRoot(more...)
}

// publish signs everything but the root at the versions it has.
func (w *world) publish() {
	w.t.Helper()
	for name := range w.files {
		if !strings.HasSuffix(name, ".root.json") {
			delete(w.files, name)
		}
	}
	for role, doc := range w.roles {
		data := encode(w.t, doc, w.keys[role])
		w.files[tufclient.FileName(role, doc.Signed.Version)] = data
		w.snapshot.Signed.Meta[role+".json"] = describe(doc.Signed.Version, data)
	}
	w.publishSnapshot()
}

// publishSnapshot signs snapshot and timestamp as they are.
func (w *world) publishSnapshot() {
	w.t.Helper()
	data := encode(w.t, w.snapshot, w.keys["snapshot"])
	w.files[tufclient.FileName("snapshot", w.snapshot.Signed.Version)] = data
	w.timestamp.Signed.Meta["snapshot.json"] = describe(w.snapshot.Signed.Version, data)
	w.publishTimestamp()
}

func (w *world) publishTimestamp() {
	w.t.Helper()
	w.files["timestamp.json"] = encode(w.t, w.timestamp, w.keys["timestamp"])
}

func describe(version int64, data []byte) *metadata.MetaFiles {
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}

// setVersion sets what a document says of itself from the next publish on.
func (w *world) setVersion(role string, version int64) {
	switch role {
	case "timestamp":
		w.timestamp.Signed.Version = version
	case "snapshot":
		w.snapshot.Signed.Version = version
	default:
		w.roles[role].Signed.Version = version
	}
}

// raiseAbove raises the versions of the documents that list the one of role.
func (w *world) raiseAbove(role string) {
	if role == "timestamp" {
		return
	}
	w.timestamp.Signed.Version++
	if role != "snapshot" {
		w.snapshot.Signed.Version++
	}
}

// setExpiry is setVersion for the expiry.
func (w *world) setExpiry(role string, t time.Time) {
	switch role {
	case "root":
		w.root.Signed.Expires = t
	case "timestamp":
		w.timestamp.Signed.Expires = t
	case "snapshot":
		w.snapshot.Signed.Expires = t
	default:
		w.roles[role].Signed.Expires = t
	}
}

// say changes what a document says, in a field that TUF does not know.
func (w *world) say(role, text string) {
	fields := map[string]*map[string]any{"timestamp": &w.timestamp.Signed.UnrecognizedFields, "snapshot": &w.snapshot.Signed.UnrecognizedFields}[role]
	if fields == nil {
		fields = &w.roles[role].Signed.UnrecognizedFields
	}
	if *fields == nil {
		*fields = map[string]any{}
	}
	(*fields)["x-note"] = text
}

// bump raises the versions of everything but the root and publishes.
func (w *world) bump() {
	w.t.Helper()
	for _, r := range w.roles {
		r.Signed.Version++
	}
	w.snapshot.Signed.Version++
	w.timestamp.Signed.Version++
	w.publish()
}

// save and restore let a registry go back in time.
func (w *world) save() map[string][]byte {
	out := map[string][]byte{}
	for name, data := range w.files {
		out[name] = data
	}
	return out
}

// Fetch makes the world a tufclient.Fetcher.
func (w *world) Fetch(_ context.Context, name string, max int64) ([]byte, error) {
	w.requests = append(w.requests, name)
	if w.intercept != nil {
		if data, err := w.intercept(name); data != nil || err != nil {
			return data, err
		}
	}
	data, ok := w.files[name]
	if !ok {
		return nil, tufclient.ErrNotFound
	}
	if int64(len(data)) > max {
		return nil, reason.New(reason.TooLarge, "%s", name)
	}
	return data, nil
}

// device is a client of the world's first root.
type device struct {
	*tufclient.Client
	dir string
	w   *world
}

func (w *world) device() *device {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "state")
	if err := tufclient.Init(dir, w.files["1.root.json"], w.id); err != nil {
		w.t.Fatal(err)
	}
	c, err := tufclient.Open(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return &device{Client: c, dir: dir, w: w}
}

// trusting is a device that has refreshed once.
func (w *world) trusting() *device {
	w.t.Helper()
	d := w.device()
	d.mustRefresh(day0)
	return d
}

func (d *device) mustRefresh(now time.Time, targets ...string) *tufclient.Metadata {
	d.w.t.Helper()
	m, err := d.Refresh(context.Background(), d.w, now, targets...)
	if err != nil {
		d.w.t.Fatalf("refresh: %v", err)
	}
	return m
}

func (d *device) mustRefuse(want reason.Code, now time.Time, targets ...string) error {
	d.w.t.Helper()
	_, err := d.Refresh(context.Background(), d.w, now, targets...)
	if !reason.Is(err, want) {
		d.w.t.Fatalf("refresh: %v, want reason %s", err, want)
	}
	return err
}

// stored returns the current file of a role, nil if there is none.
func (d *device) stored(role string) []byte {
	data, err := os.ReadFile(filepath.Join(d.dir, role+".json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.w.t.Fatal(err)
	}
	return data
}

// all returns every file of the state directory, to show that nothing changed.
func (d *device) all() map[string]string {
	out := map[string]string{}
	err := filepath.WalkDir(d.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, d.dir)] = string(data)
		return err
	})
	if err != nil {
		d.w.t.Fatal(err)
	}
	return out
}

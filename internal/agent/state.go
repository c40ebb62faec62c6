package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// maxStateBytes bounds each of our own state files: a device runs tens of
// applications, and an entry takes about 1 KiB.
const maxStateBytes = 1 << 20

// Identity is device.json: written once by Init.
type Identity struct {
	// Device is the Margo device id.
	Device string `json:"device"`
	// Channel is the deployment channel's repository, "host/namespace/name".
	Channel string `json:"channel"`
	// LogKey is the public half of the log key, a C2SP note verifier key.
	LogKey string `json:"logKey"`
}

// Installation is what was last applied for one deployment.
type Installation struct {
	// Deployment is the Margo deployment id.
	Deployment  string `json:"deployment"`
	Application string `json:"application"`
	Version     string `json:"version"`
	// Highest is the highest version that ever became healthy here.
	Highest string `json:"highest"`
	// Bundle, Order and Policy are the digests that the verdict rested on. Order
	// is the digest of the Margo ApplicationDeployment, OrderSize its length.
	Bundle    digest.Digest `json:"bundle"`
	Order     digest.Digest `json:"order"`
	OrderSize int64         `json:"orderSize"`
	Policy    digest.Digest `json:"policy"`
	// Components are in the order in which they were applied.
	Components []InstalledComponent `json:"components"`
	// Manifest is the digest that the log calls the render: of the list of all
	// components' renders.
	Manifest digest.Digest `json:"manifest"`
	// Documents are the digests of what the verdict rested on. They are kept in
	// the content store.
	Documents []digest.Digest `json:"documents"`
	// Inputs is the inputs document of the decision, "" for one that an agent
	// without an archive made.
	Inputs digest.Digest `json:"inputs,omitempty"`
	// AppliedAt is when the outcome was logged.
	AppliedAt time.Time `json:"appliedAt"`
}

// Parts returns the components by the names that the engine has for them.
func (in Installation) Parts() []apply.Part {
	var out []apply.Part
	for _, c := range in.Components {
		out = append(out, c.Part)
	}
	return out
}

// InstalledComponent is one applied component.
type InstalledComponent struct {
	apply.Part
	// Render is the digest of the exact objects that were applied; they are kept
	// in the content store.
	Render digest.Digest `json:"render"`
	// Size is the length of the render in bytes.
	Size int64 `json:"size"`
}

// Attempt is the last order that did not lead to an installation, or a channel
// that could not be used. It is kept so that a poll that finds the same refusal
// again writes nothing, and so that what failed on the machine is not tried
// again at every poll.
type Attempt struct {
	Order  digest.Digest `json:"order,omitempty"`
	Policy digest.Digest `json:"policy,omitempty"`
	Reason reason.Code   `json:"reason"`
	At     time.Time     `json:"at"`
	Text   string        `json:"text"`
	// Touched says that containers were changed before it failed.
	Touched bool `json:"touched,omitempty"`
	// Returned is the version that was made to run again instead, if any.
	Returned string `json:"returned,omitempty"`
	// Count is how often this order failed on the machine, in a row.
	Count int `json:"count,omitempty"`
	// NotBefore is when it is tried again; zero for the next cycle.
	NotBefore time.Time `json:"notBefore,omitzero"`
}

// Begun is an apply whose end is not known, or was a failure that has not been
// made good yet.
type Begun struct {
	Application string        `json:"application"`
	Version     string        `json:"version"`
	Bundle      digest.Digest `json:"bundle"`
	// Parts are all components that may have been changed.
	Parts []apply.Part `json:"parts"`
	// Data says whether the volumes still hold what the last good version left.
	Data Data `json:"data,omitempty"`
}

// Deviation is a difference between what was applied and what runs.
type Deviation struct {
	// Text names what differs; "" when it was corrected and that has to last.
	Text string    `json:"text"`
	At   time.Time `json:"at"`
	// Count is how often it was corrected in a row without lasting, and NotBefore
	// when it is corrected next.
	Count     int       `json:"count,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"`
}

// state is installed.json.
type state struct {
	Installed map[string]Installation `json:"installed"`
	Attempts  map[string]Attempt      `json:"attempts"`
	// Begun holds, by deployment, what an apply began to change and nothing has
	// settled since. It is written before the engine is asked for anything, so a
	// crash leaves no container that is not known here.
	Begun map[string]Begun `json:"begun,omitempty"`
	// Deviations are the differences that were seen last, by deployment.
	Deviations map[string]Deviation `json:"deviations,omitempty"`
	// Past are earlier installations, the newest last: what the log says of them
	// can be read in the content store.
	Past []Installation `json:"past,omitempty"`
	// Approved is the desired state that a person at the device approved last.
	Approved digest.Digest `json:"approved,omitempty"`
	// Heads are the channel manifests that were read last, by repository: while a
	// tag still names one, nothing is fetched.
	Heads map[string]digest.Digest `json:"heads"`
	// Noted are the timestamps, by repository, that the log has an event of. What
	// is stored of a channel does not tell: a crash may lie between the two.
	Noted map[string]digest.Digest `json:"noted,omitempty"`
	// LastChange is when a cycle last ended well and found something new.
	LastChange time.Time `json:"lastChange"`
}

type dirs struct{ root string }

func (d dirs) identity() string  { return filepath.Join(d.root, "device.json") }
func (d dirs) installed() string { return filepath.Join(d.root, "installed.json") }
func (d dirs) time() string      { return filepath.Join(d.root, "time.json") }
func (d dirs) logKey() string    { return filepath.Join(d.root, "log.key") }
func (d dirs) log() string       { return filepath.Join(d.root, "log") }
func (d dirs) operator() string  { return filepath.Join(d.root, "operator") }
func (d dirs) suppliers() string { return filepath.Join(d.root, "suppliers") }
func (d dirs) store() string     { return filepath.Join(d.root, "store") }
func (d dirs) inputs() string    { return filepath.Join(d.root, "inputs") }
func (d dirs) approved() string  { return filepath.Join(d.root, "approved.json") }
func (d dirs) secretKey() string { return filepath.Join(d.root, "secrets.key") }
func (d dirs) lock() string      { return filepath.Join(d.root, "lock") }

func readJSON(path string, out any) error {
	data, err := durable.ReadFile(path, maxStateBytes)
	if err != nil {
		return err
	}
	if err := strictjson.Unmarshal(data, out, strictjson.Limits{Bytes: maxStateBytes, Depth: 16}); err != nil {
		return fmt.Errorf("%s: %w; the file was not written by this program: restore it from a backup", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(data, '\n'), 0o600)
}

func (d dirs) loadState() (*state, error) {
	s := &state{}
	if err := readJSON(d.installed(), s); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s.makeMaps()
	return s, nil
}

func (s *state) makeMaps() {
	if s.Installed == nil {
		s.Installed = map[string]Installation{}
	}
	if s.Heads == nil {
		s.Heads = map[string]digest.Digest{}
	}
	if s.Noted == nil {
		s.Noted = map[string]digest.Digest{}
	}
	if s.Attempts == nil {
		s.Attempts = map[string]Attempt{}
	}
	if s.Begun == nil {
		s.Begun = map[string]Begun{}
	}
	if s.Deviations == nil {
		s.Deviations = map[string]Deviation{}
	}
}

// maxPast bounds Past: two years of an upgrade every ten days.
const maxPast = 64

// retire moves what a deployment had into the past. Its last refusal or failure
// is another matter and stays.
func (s *state) retire(id string) {
	if in, ok := s.Installed[id]; ok {
		s.Past = append(s.Past, in)
		s.Past = s.Past[max(0, len(s.Past)-maxPast):]
	}
	delete(s.Installed, id)
	delete(s.Begun, id)
	delete(s.Deviations, id)
}

// highest is the highest version that ever became healthy under a deployment id.
func (s *state) highest(id string) string {
	out := s.Installed[id].Highest
	for _, in := range s.Past {
		if in.Deployment == id {
			out = highest(out, in.Highest)
		}
	}
	return out
}

func (d dirs) saveState(s *state) error { return writeJSON(d.installed(), s) }

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

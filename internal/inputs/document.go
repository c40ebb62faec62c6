package inputs

import (
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

// Version is the version of the format that this package writes and reads. A
// change of what a member means, or a new member, gets a new number.
const Version = 1

// Limits of what is written and read.
const (
	// MaxBytes bounds one encoded document: with [MaxRefs] names of 130 bytes it
	// is full.
	MaxBytes = 1 << 20
	// MaxRefs bounds the documents that one names. A decision about a bundle of ten
	// images names about fifty; most of the room is for chains of roots.
	MaxRefs = 6000
	// MaxRef bounds one named document: a render is the longest.
	MaxRef = 8 << 20
	// MaxTotal bounds what one decision rests on, all in all: whoever makes it again
	// holds most of that in memory at once, as the device did.
	MaxTotal = 512 << 20
	// maxText bounds an id, a name or a path, in bytes.
	maxText = 1024
)

// Question is what the verifier was asked.
type Question string

// The questions.
const (
	// Orders: what is this device to run? (verify.ReadOrders, when it refuses)
	Orders Question = "orders"
	// Order: may this order be carried out? (ReadOrders, CheckRelease, Decide, Permit)
	Order Question = "order"
	// Recall: may what ran before run again? (ReadPolicy, Recall)
	Recall Question = "recall"
)

// Document is what one decision was made from. The order of the fields is the
// order in the encoding: do not change it.
type Document struct {
	Version int `json:"v"`
	// Event is the number of the first event in the log that names the document.
	Event      uint64   `json:"event"`
	Question   Question `json:"question"`
	Deployment string   `json:"deployment,omitempty"`
	Device     Device   `json:"device"`
	// Operator is the deployment channel, Supplier the release channel.
	Operator Channel  `json:"operator"`
	Supplier *Channel `json:"supplier,omitempty"`
	// Order is the signed deployment that was judged.
	Order   *Ref     `json:"order,omitempty"`
	History *History `json:"history,omitempty"`
	// Renders are the objects that the applier made, as far as it came to that.
	Renders []Render `json:"renders,omitempty"`
	// Documents are all that the verifier read besides, sorted by digest.
	Documents []Ref `json:"documents"`
	// Unread are documents that it asked for and was not given, and why: what a
	// registry withheld or sent in a wrong form is an input of the refusal, too.
	Unread   []Unread `json:"unread,omitempty"`
	Decision Decision `json:"decision"`
}

// Ref names a document of the archive.
type Ref struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// Device is verify.Device.
type Device struct {
	ID       string           `json:"id"`
	Platform ocispec.Platform `json:"platform"`
	// Capabilities is the device's description of itself, if it has one.
	Capabilities *Ref     `json:"capabilities,omitempty"`
	Reserved     []string `json:"reserved,omitempty"`
}

// Channel is the metadata of a TUF repository as a client trusted it.
type Channel struct {
	// Root is the digest of the root that the client is pinned to.
	Root digest.Digest `json:"root"`
	// Time is by what expiry was judged, to the nanosecond.
	Time time.Time `json:"time"`
	// Metadata are the files, sorted by name, with the chain of roots.
	Metadata []File `json:"metadata"`
}

// File is a file of metadata, named as tufclient.FileName does.
type File struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// History is verify.History: what the device remembered.
type History struct {
	Highest  string `json:"highest,omitempty"`
	Previous *Ref   `json:"previous,omitempty"`
}

// Render is the exact project of one component.
type Render struct {
	Component string        `json:"component"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
}

// Unread is a document that could not be had.
type Unread struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Reason reason.Code   `json:"reason"`
}

// Outcome is how a decision ended.
type Outcome string

// The outcomes.
const (
	// Accepted: the verifier gave a permit.
	Accepted Outcome = "accepted"
	// Refused: the verifier refused, for Reason at Step.
	Refused Outcome = "refused"
	// Withheld: the verifier gave a verdict, and the device then stopped by itself,
	// for Reason at Step: a blob, a render or a secret could not be had.
	Withheld Outcome = "withheld"
)

// Decision is what came out, as the log tells it.
type Decision struct {
	Outcome Outcome     `json:"outcome"`
	Reason  reason.Code `json:"reason,omitempty"`
	Step    string      `json:"step,omitempty"`
}

// Refs are all documents that d names, each once: what has to be kept for it.
func (d *Document) Refs() []Ref {
	var out []Ref
	seen := map[digest.Digest]bool{}
	add := func(digest digest.Digest, size int64) {
		if !seen[digest] {
			out, seen[digest] = append(out, Ref{digest, size}), true
		}
	}
	for _, r := range []*Ref{d.Device.Capabilities, d.Order} {
		if r != nil {
			add(r.Digest, r.Size)
		}
	}
	if d.History != nil && d.History.Previous != nil {
		add(d.History.Previous.Digest, d.History.Previous.Size)
	}
	for _, c := range d.channels() {
		for _, f := range c.Metadata {
			add(f.Digest, f.Size)
		}
	}
	for _, r := range d.Renders {
		add(r.Digest, r.Size)
	}
	for _, r := range d.Documents {
		add(r.Digest, r.Size)
	}
	return out
}

func (d *Document) channels() []*Channel {
	if d.Supplier == nil {
		return []*Channel{&d.Operator}
	}
	return []*Channel{&d.Operator, d.Supplier}
}

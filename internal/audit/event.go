package audit

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
)

// EventVersion is the version of the event format that this package writes and
// reads. A change that an old reader would misread gets a new number.
const EventVersion = 1

// Kind says what an event records.
type Kind string

// The kinds. Which fields each has is in rules.go and docs/spec/log.md.
const (
	Initialised  Kind = "initialised"  // the device was set up; always event 0, and only that
	Refreshed    Kind = "refreshed"    // a channel's trusted metadata changed
	Accepted     Kind = "accepted"     // a deployment passed verification
	Refused      Kind = "refused"      // something was refused, with its reason
	Intent       Kind = "intent"       // the machine is about to be changed
	Outcome      Kind = "outcome"      // how the change of an intent ended
	Removed      Kind = "removed"      // the removal of an intent was done
	RolledBack   Kind = "rolled-back"  // the rollback of an intent was done
	Drifted      Kind = "drifted"      // what runs is not what was applied
	Approved     Kind = "approved"     // a person at the device let a desired state be applied
	Gap          Kind = "gap"          // something between two events is not known, after a crash
	Equivocation Kind = "equivocation" // two documents were signed as one version
)

// Kinds returns every kind, in the order of the specification.
func Kinds() []Kind {
	return []Kind{Initialised, Refreshed, Accepted, Refused, Intent, Outcome, Removed, RolledBack, Drifted, Approved, Gap, Equivocation}
}

// Action is what an intent is about to do.
type Action string

// The actions of an intent.
const (
	Apply    Action = "apply"
	Remove   Action = "remove"
	Rollback Action = "rollback"
)

// Result is how an intent ended.
type Result string

// The results of an outcome.
const (
	OK     Result = "ok"
	Failed Result = "failed"
)

// Event is one entry of the log. Version, Seq, Time and Device are set by
// [Log.Append]; the rest depends on Kind, and a field that the kind does not
// have is an error. Events hold names, digests and reasons, never parameter
// values or secrets. The order of the fields is the order in the encoding: do
// not change it.
type Event struct {
	Version int       `json:"v"`
	Seq     uint64    `json:"seq"`  // number of the leaf, from 0
	Time    time.Time `json:"time"` // the device's clock, UTC, to the millisecond; not proven by anything
	Kind    Kind      `json:"kind"`
	Device  string    `json:"device"`

	Deployment  string `json:"deployment,omitempty"`  // id of the Margo deployment
	Application string `json:"application,omitempty"` // id of the application
	Release     string `json:"version,omitempty"`     // version of the application
	Action      Action `json:"action,omitempty"`
	// Intent is the seq of the intent that this event ends. 0, which is always
	// the event Initialised, means none.
	Intent  uint64      `json:"intent,omitempty"`
	Result  Result      `json:"result,omitempty"`
	Reason  reason.Code `json:"reason,omitempty"`
	Step    string      `json:"step,omitempty"`    // the check or step that refused or failed
	Message string      `json:"message,omitempty"` // for people; see [Clean]

	Channel  string `json:"channel,omitempty"`  // repository of a channel
	Metadata int64  `json:"metadata,omitempty"` // version of a channel's timestamp metadata

	Root         digest.Digest   `json:"root,omitempty"`         // the pinned root of the operator
	State        digest.Digest   `json:"state,omitempty"`        // manifest of the channel as read
	DesiredState digest.Digest   `json:"desiredState,omitempty"` // the device's desired state
	Policy       digest.Digest   `json:"policy,omitempty"`
	Bundle       digest.Digest   `json:"bundle,omitempty"`
	Render       digest.Digest   `json:"render,omitempty"` // the exact objects that are applied
	Evidence     []digest.Digest `json:"evidence,omitempty"`
	Program      string          `json:"program,omitempty"` // the agent and its version
	Inputs       digest.Digest   `json:"inputs,omitempty"`  // what the decision was made from (internal/inputs)
}

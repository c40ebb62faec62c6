package doctor

import (
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
)

// Facts is what was found on a device. An Err says why something could not be
// found out; the fields beside it then mean nothing.
type Facts struct {
	// Device is the Margo device id, if the state directory could be read.
	Device      string
	Clock       Clock
	Broken      []Broken
	State       State
	Channels    []Channel
	Registries  []Registry
	Credentials Credentials
	Disk        Disk
	Engine      Engine
	Cluster     Cluster
	Port        Port
	Log         Log
	Attempts    []Attempt
	Deviations  []Deviation
}

// Clock holds the times that the agent goes by.
type Clock struct {
	System time.Time
	// Floor is the latest signed time seen, Built when this program was built;
	// zero when there is none.
	Floor, Built time.Time
	Err          error
}

// Now is the time by which the agent judges documents.
func (c Clock) Now() time.Time {
	now := c.System
	for _, t := range []time.Time{c.Floor, c.Built} {
		if t.After(now) {
			now = t
		}
	}
	return now
}

// Broken is a file that the configuration names and that cannot be used.
type Broken struct {
	// Field is the field of the configuration.
	Field string
	Err   error
}

// State is the state directory.
type State struct {
	Path string
	// Err is why the directory itself cannot be looked at.
	Err error
	// Unusable is why its contents cannot be: not initialised, not readable, damaged.
	Unusable error
	Mode     fs.FileMode
	// Owner is the user id that it belongs to, Self the one of this program.
	Owner, Self int
	// Holder is the process that works on it; nil when none does.
	Holder *Process
	// HolderErr is why that cannot be said.
	HolderErr error
}

// Process is a process of this machine.
type Process struct {
	// PID is 0 when the process cannot be seen from here.
	PID  int
	Name string
}

// Channel is what is known here of a channel without asking its registry.
type Channel struct {
	// Subject is "deployments", or "releases NAME" with the policy's name.
	Subject           string
	SignedAt, Expires time.Time
	// Never says that nothing has been read from the channel yet.
	Never bool
	Err   error
}

// Registry is how the registry of a channel answered one request for its tag.
type Registry struct {
	// Subject is as in Channel, Repository where the channel is.
	Subject, Repository string
	// TLS is false for loopback hosts, which are asked in plain text.
	TLS  bool
	Took time.Duration
	// Head is the manifest that the tag names, Known the one that was read last.
	Head, Known digest.Digest
	Err         error
	// What Err is about, as far as that can be told.
	Denied, Missing, Certificate, Late bool
}

// Credentials are what the Docker configuration has for the hosts of channels.
type Credentials struct {
	// Path is "" when the agent's user has no home directory and none was named.
	Path   string
	Absent bool
	Mode   fs.FileMode
	// Secrets says that the file itself holds some; with a helper it does not.
	Secrets bool
	Hosts   []Host
	Err     error
}

// Host says whether there is an entry for a registry's host.
type Host struct {
	Name  string
	Entry bool
	Err   error
}

// Space is the room on a file system, in bytes.
type Space struct{ Free, Total int64 }

// Disk is the file system of the state directory and the content store on it.
type Disk struct {
	Space Space
	// Reserve must stay free, else nothing is fetched.
	Reserve int64
	// Content is what the store holds, Partial what has arrived of something;
	// Needed is the part of Content that what is installed needs.
	Content, Partial, Needed int64
	// Unknown: what is installed is not known, so the store was not measured.
	Unknown bool
	Err     error
	// StoreErr is why the store cannot be measured.
	StoreErr error
}

// Engine is the container engine.
type Engine struct {
	// Address is "" on a machine that has none.
	Address                               string
	Version, APIVersion, Driver, DataRoot string
	Images                                int
	ImageBytes                            int64
	// Space is that of DataRoot; nil when it cannot be seen from here.
	Space *Space
	Err   error
}

// Cluster is the Kubernetes of a machine.
type Cluster struct {
	// Kubeconfig is "" on a machine that has none.
	Kubeconfig string
	Version    string
	// Nodes counts the nodes, up to 100.
	Nodes int
	Err   error
}

// Port is the loopback address from which the engine is served.
type Port struct {
	Address string
	// Taken says that a socket listens there, Holders which processes have it, as
	// far as they can be seen.
	Taken   bool
	Holders []Process
	Err     error
}

// Log is the device log after a whole check.
type Log struct {
	Size, Pending uint64
	Torn, Open    int
	// Tampered says that Err is a finding about the log.
	Tampered bool
	Err      error
	// Unknown: there is no log to check before init.
	Unknown bool
}

// Attempt is a refusal or failure that has not been overcome.
type Attempt struct {
	// Subject is "deployments", "releases NAME" or "deployment ID".
	Subject string
	Reason  reason.Code
	At      time.Time
	Text    string
	// NotBefore is when it is tried again.
	NotBefore time.Time
}

// Deviation is a difference between what was applied and what runs.
type Deviation struct {
	Subject, Text string
	At            time.Time
}

package audit

// Report is what [Verify] found out about a log in which nothing is wrong.
type Report struct {
	// Origin is the log's name, as signed and as the verifier key says.
	Origin string `json:"origin"`
	// Device is the device that all events are of; empty in an empty log.
	Device string `json:"device,omitempty"`
	// Size is the number of events under the signed checkpoint.
	Size uint64 `json:"size"`
	// Root is the root of the tree over them, in hexadecimal.
	Root string `json:"root"`
	// Since is the size of the earlier checkpoint that the log was held
	// against; nil when none was given: nothing then says that the log is not
	// cut short or another history of the same device.
	Since *uint64 `json:"since,omitempty"`
	// Pending is the number of events in the journal that no checkpoint covers
	// yet. They are whole but could be removed or replaced without a trace.
	Pending uint64 `json:"pending"`
	// Torn is the number of bytes of an append that a crash interrupted.
	Torn int `json:"torn,omitempty"`
	// OpenIntents are the intents that no event has ended: work in progress,
	// or interrupted and not yet recorded as such.
	OpenIntents []uint64 `json:"openIntents,omitempty"`
	// Strays are files under tile/ that are no part of the log, such as
	// temporary files of a killed writer. No reader opens them.
	Strays []string `json:"strays,omitempty"`
}

// Entry is an event with what Verify knows about it.
type Entry struct {
	Event
	// Pending says that no checkpoint covers the event yet.
	Pending bool `json:"pending,omitempty"`
	// Raw is the encoding: the leaf of the tree.
	Raw []byte `json:"-"`
}

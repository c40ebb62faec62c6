// Package audit keeps and checks the log of a device: what it decided, why,
// and what it did, in an order that nobody can change afterwards without being
// found out.
//
// # What a log is
//
// A directory. Its tile/ and checkpoint follow C2SP tlog-tiles and
// tlog-checkpoint and are written by Tessera's POSIX driver, so any tool for
// such logs reads them. Each leaf is one [Event], a small JSON object with
// exactly one encoding; leaf number and the event's seq are the same number.
// The checkpoint is signed by the device's Ed25519 log key ([Key]). docs/spec/log.md
// is the specification.
//
//	checkpoint      the signed size and root of the tree
//	tile/           entries and hashes
//	journal         events that wait for the tree (internal/durable.Journal)
//	.state/         Tessera's own bookkeeping; a reader ignores it
//	lock            held by the one writer
//
// # How it is written
//
// A tile log is made for many entries at a time: adding one event rewrites the
// last bundle and tile and signs a checkpoint, ten times the cost of a synced
// append and up to a hundred times the bytes. So [Log.Append] only appends to
// the journal and returns when the event is on disk, and [Log.Integrate] moves
// everything that waits into the tree at once, at the end of each cycle of the
// agent. A crash in between loses nothing: the number of an event says whether
// it is in the tree already.
//
// The journal keeps every event from the oldest open intent on, even when it
// is in the tree, so that [Open] finds the work that a crash interrupted
// without reading the log.
//
// # How it is checked
//
// [Verify] believes the key it is given and nothing in the directory. An
// intact tree proves that nothing was changed below its checkpoint; only an
// earlier checkpoint kept elsewhere proves that the checkpoint itself is not
// older or of another history. Verify therefore says how far the log is
// anchored, and never just "valid".
//
// The trap: a log key found beside a log proves nothing. Whoever rewrote the
// log wrote that file too. No function here reads a key from a log directory.
package audit

import "time"

// Limits of what is read and written.
const (
	// MaxEvent bounds one encoded event in bytes: all fields at their own
	// limits fit, and 256 of them, a full entry bundle, stay at 2 MiB.
	MaxEvent = 8 << 10
	// MaxText bounds an identifier or name in an event, in bytes.
	MaxText = 256
	// MaxMessage bounds the free text of an event, in bytes: enough for an
	// error message, too little to carry a document.
	MaxMessage = 1024
	// maxEvidence bounds the digests listed by one event.
	maxEvidence = 8
	// maxCheckpoint bounds a signed checkpoint: three short lines and one
	// signature take less than 400 bytes plus the length of a device's name.
	maxCheckpoint = 4 << 10
	// maxJournalRecord bounds a record of the journal: one event.
	maxJournalRecord = MaxEvent
)

// publishTimeout is how long [Log.Integrate] waits for Tessera to write a
// checkpoint. It takes milliseconds; a slow flash memory under load takes
// seconds; beyond this the disk is failing.
const publishTimeout = 30 * time.Second

// File names in a log directory. checkpoint and tile/ are given by C2SP
// tlog-tiles, .state/treeState by Tessera.
const (
	checkpointFile = "checkpoint"
	tileDir        = "tile"
	journalFile    = "journal"
	lockFile       = "lock"
	treeStateFile  = ".state/treeState"
	treeLockFile   = ".state/treeState.lock"
)

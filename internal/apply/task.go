// Package apply makes a device run what was verified, and nothing else.
//
// What it exports takes the results of internal/verify. The work is done by
// applier programs (cmd/applier-compose, cmd/applier-helm), one process for each task: program.go
// starts them and speaks their protocol (internal/apply/task, described in
// docs/spec/applier.md), and a render is locked into internal/apply/sandbox. So
// the libraries of an engine are not part of the agent, and a crash or a bomb
// in them ends that process and is a refusal here.
//
// The trap: between the programs this is isolation of faults and of size, not
// of privilege. A program with access to the engine can do what the engine can.
package apply

import "github.com/consign-dev/consign/internal/apply/task"

// The inputs and results of the applier programs, as docs/spec/applier.md
// lists them. They are declared in internal/apply/task so that an applier
// program does not link what is built on top of them here.
type (
	RenderInput   = task.RenderInput
	RenderResult  = task.RenderResult
	ApplyInput    = task.ApplyInput
	ApplyResult   = task.ApplyResult
	ObserveInput  = task.ObserveInput
	ObserveResult = task.ObserveResult
	RemoveInput   = task.RemoveInput
	RemoveResult  = task.RemoveResult
	Service       = task.Service
	InfoResult    = task.InfoResult
	PruneInput    = task.PruneInput
	PruneResult   = task.PruneResult

	SnapshotInput  = task.SnapshotInput
	SnapshotResult = task.SnapshotResult
	RestoreInput   = task.RestoreInput
	RestoreResult  = task.RestoreResult
	Volume         = task.Volume
)

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
)

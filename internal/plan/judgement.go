package plan

import (
	"context"
	"errors"
	"slices"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// Judgement is what a policy says, as far as it can be told.
type Judgement struct {
	Accepted bool `json:"accepted"`
	// Reason and Message are of the refusal.
	Reason  string        `json:"reason,omitempty"`
	Message string        `json:"message,omitempty"`
	Steps   []verify.Step `json:"steps"`
	// Unknown are the checks that a device makes and that were not made here.
	Unknown []string `json:"unknown"`

	// Err is the refusal with its reason, nil when accepted.
	Err error `json:"-"`
}

// judge asks the policy about one profile. The first refusal stays; anything but
// a refusal is an error.
func (j *Judgement) judge(ctx context.Context, in verify.UnlistedInput, renders []verify.Render, docs verify.Documents) error {
	rehearsal, err := verify.RehearseUnlisted(ctx, in, docs)
	steps := []verify.Step{}
	if err == nil {
		steps, err = rehearsal.CheckRenders(renders)
		j.unknown(rehearsal.Unknown())
	}
	return j.take(steps, err)
}

// try asks about the evidence of a package that is not released.
func (j *Judgement) try(ctx context.Context, ask func(context.Context) (*verify.Trial, error)) error {
	if ask == nil {
		return nil
	}
	trial, err := ask(ctx)
	if err != nil {
		return j.take(nil, err)
	}
	j.unknown(trial.Open)
	return j.take(trial.Steps, nil)
}

func (j *Judgement) unknown(list []string) {
	for _, u := range list {
		if !slices.Contains(j.Unknown, u) {
			j.Unknown = append(j.Unknown, u)
		}
	}
}

// take notes how a check ended. What is no refusal of the verifier ends the plan:
// so does what it could not read, which says nothing about the device.
func (j *Judgement) take(steps []verify.Step, err error) error {
	var refusal *verify.Refusal
	switch {
	case err == nil:
		j.Steps = append(j.Steps, steps...)
	case !errors.As(err, &refusal) || unread(err):
		return err
	case j.Accepted:
		j.refuse(err)
		j.Steps = append(j.Steps, refusal.Steps...)
	}
	return nil
}

func (j *Judgement) refuse(err error) {
	j.Accepted, j.Err, j.Reason, j.Message = false, err, string(reason.Of(err)), err.Error()
}

func unread(err error) bool {
	switch reason.Of(err) {
	case reason.Unreachable, reason.TooSlow, reason.NoSpace, reason.Internal:
		return true
	default:
		return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	}
}

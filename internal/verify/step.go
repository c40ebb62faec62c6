package verify

import (
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
)

// Step is one check that was made, in the order in which it was made.
type Step struct {
	// Name is the stable name of the check, such as "release" or "signature".
	Name string `json:"step"`
	// Rule says what was demanded.
	Rule string `json:"rule"`
	// Found says what was there.
	Found string `json:"found"`
	// Evidence is the digest of the document that shows it, if there is one.
	Evidence digest.Digest `json:"evidence,omitempty"`
	// OK is false for the step that refused; no step follows that one.
	OK bool `json:"ok"`
}

// Refusal is the error of every function in this package that judges. It
// unwraps to a *reason.Error.
type Refusal struct {
	// Steps are the checks made, the last of which refused.
	Steps []Step
	Err   error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Step returns the name of the check that refused.
func (r *Refusal) Step() string {
	if len(r.Steps) == 0 {
		return ""
	}
	return r.Steps[len(r.Steps)-1].Name
}

// StepsOf returns the checks that err, an error of this package, carries.
func StepsOf(err error) []Step {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Steps
	}
	return nil
}

// trail collects steps while a judgement is under way.
type trail struct{ steps []Step }

func (t *trail) pass(name, rule string, evidence digest.Digest, found string, args ...any) {
	t.steps = append(t.steps, Step{Name: name, Rule: rule, Found: fmt.Sprintf(found, args...), Evidence: evidence, OK: true})
}

// refuse closes the trail. An error without a reason is given fallback.
func (t *trail) refuse(name, rule string, evidence digest.Digest, fallback reason.Code, err error) error {
	err = reason.Wrap(fallback, err)
	t.steps = append(t.steps, Step{Name: name, Rule: rule, Found: err.Error(), Evidence: evidence})
	return &Refusal{Steps: t.steps, Err: err}
}

package audit

import (
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// rule says which fields an event of a kind must and may have, by their JSON
// names. Fields of every kind are not listed.
type rule struct{ must, may []string }

var rules = map[Kind]rule{
	Initialised: {must: list("root"), may: list("program")},
	Refreshed:   {must: list("channel", "metadata", "state"), may: list("program")},
	Accepted:    {must: list("deployment", "application", "version", "bundle", "policy"), may: list("desiredState", "channel", "evidence", "inputs")},
	Refused: {must: list("reason", "step", "message"),
		may: list("deployment", "application", "version", "channel", "bundle", "policy", "desiredState", "state", "inputs")},
	Intent:       {must: list("deployment", "application", "version", "action", "bundle"), may: list("render", "policy", "program", "inputs")},
	Outcome:      {must: list("deployment", "intent", "result"), may: list("application", "version", "reason", "step", "message")},
	Removed:      {must: list("deployment", "intent"), may: list("application", "version", "message")},
	RolledBack:   {must: list("deployment", "intent"), may: list("application", "version", "message", "bundle")},
	Drifted:      {must: list("deployment", "application", "version", "message")},
	Approved:     {must: list("desiredState"), may: list("policy", "program")},
	Gap:          {must: list("message"), may: list("deployment", "application", "version", "intent")},
	Equivocation: {must: list("channel", "message", "evidence"), may: list("metadata")},
}

func list(names ...string) []string { return names }

// reasonShape is what a reader demands of a reason code. The list of codes
// grows; an old auditor must be able to read the log of a newer agent.
var reasonShape = lazyregexp.New(`^[a-z][a-z-]{0,39}$`)

// check holds an event against the rules of its kind. It looks at the event
// alone; what must have come before it is the business of [history].
func (e *Event) check() error {
	if e.Version != EventVersion {
		return fmt.Errorf("event format v%d is not the v%d that this program reads", e.Version, EventVersion)
	}
	r, ok := rules[e.Kind]
	if !ok {
		return fmt.Errorf("kind %q is not known", e.Kind)
	}
	if e.Device == "" {
		return fmt.Errorf("device is missing")
	}
	for _, f := range e.fields() {
		switch must := slices.Contains(r.must, f.name); {
		case must && !f.set:
			return fmt.Errorf("%s is missing in an event of kind %s", f.name, e.Kind)
		case f.set && !must && !slices.Contains(r.may, f.name):
			return fmt.Errorf("%s does not belong in an event of kind %s", f.name, e.Kind)
		}
	}
	if err := e.checkValues(); err != nil {
		return err
	}
	return e.checkCombination()
}

type field struct {
	name string
	set  bool
}

func (e *Event) fields() []field {
	return []field{
		{"deployment", e.Deployment != ""}, {"application", e.Application != ""}, {"version", e.Release != ""},
		{"action", e.Action != ""}, {"intent", e.Intent != 0}, {"result", e.Result != ""},
		{"reason", e.Reason != ""}, {"step", e.Step != ""}, {"message", e.Message != ""},
		{"channel", e.Channel != ""}, {"metadata", e.Metadata != 0},
		{"root", e.Root != ""}, {"state", e.State != ""}, {"desiredState", e.DesiredState != ""},
		{"policy", e.Policy != ""}, {"bundle", e.Bundle != ""}, {"render", e.Render != ""},
		{"evidence", len(e.Evidence) != 0}, {"program", e.Program != ""},
		{"inputs", e.Inputs != ""},
	}
}

// texts are the fields whose content comes from documents of others.
func (e *Event) texts() map[string]*string {
	return map[string]*string{
		"device": &e.Device, "deployment": &e.Deployment, "application": &e.Application, "version": &e.Release,
		"step": &e.Step, "channel": &e.Channel, "program": &e.Program,
	}
}

func (e *Event) checkValues() error {
	for name, text := range e.texts() {
		if *text != clean(*text, MaxText) {
			return fmt.Errorf("%s is longer than %d bytes or not printable: %q", name, MaxText, *text)
		}
	}
	if e.Message != clean(e.Message, MaxMessage) {
		return fmt.Errorf("message is longer than %d bytes or not printable: %q", MaxMessage, e.Message)
	}
	if e.Reason != "" && !reasonShape.MatchString(string(e.Reason)) {
		return fmt.Errorf("reason %q is not a reason code", e.Reason)
	}
	if e.Metadata < 0 {
		return fmt.Errorf("metadata version %d is negative", e.Metadata)
	}
	if len(e.Evidence) > maxEvidence {
		return fmt.Errorf("evidence lists %d digests, at most %d are allowed", len(e.Evidence), maxEvidence)
	}
	for _, d := range append([]digest.Digest{e.Root, e.State, e.DesiredState, e.Policy, e.Bundle, e.Render, e.Inputs}, e.Evidence...) {
		if d != "" && (d.Validate() != nil || d.Algorithm() != digest.SHA256) {
			return fmt.Errorf("%q is not a sha256 digest", d)
		}
	}
	return nil
}

func (e *Event) checkCombination() error {
	switch {
	case slices.Contains(e.Evidence, ""):
		return fmt.Errorf("evidence lists an empty digest")
	case e.Kind == Intent && !slices.Contains([]Action{Apply, Remove, Rollback}, e.Action):
		return fmt.Errorf("action %q is not known", e.Action)
	case e.Kind == Intent && e.Action == Remove && e.Inputs != "":
		return fmt.Errorf("an intent to %s rests on no verdict and names no inputs", e.Action)
	case e.Kind == Intent && e.Action != Remove && (e.Render == "" || e.Policy == ""):
		return fmt.Errorf("an intent to %s names the render and the policy", e.Action)
	case e.Kind == Outcome && e.Result != OK && e.Result != Failed:
		return fmt.Errorf("result %q is not known", e.Result)
	case e.Kind == Outcome && (e.Result == Failed) != (e.Reason != ""):
		return fmt.Errorf("an outcome has a reason exactly when it failed")
	case e.Kind == Gap && (e.Intent != 0) != (e.Deployment != ""):
		return fmt.Errorf("a gap names both an intent and its deployment or neither")
	}
	return nil
}

// checkReason is the writer's rule: only codes of the closed list are written.
func (e *Event) checkReason() error {
	if e.Reason != "" && !e.Reason.Valid() {
		return fmt.Errorf("reason %q is not in the list of reasons", e.Reason)
	}
	return nil
}

package auditor

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/audit"
)

// Line tells an event in one line: number, time, kind, and what happened.
func Line(e audit.Entry) string {
	line := fmt.Sprintf("%5d  %s  %-12s  %s", e.Seq, e.Time.UTC().Format("2006-01-02 15:04:05Z"), e.Kind, tell(e.Event))
	if e.Pending {
		line += "  [pending]"
	}
	return line
}

func tell(e audit.Event) string {
	switch e.Kind {
	case audit.Initialised:
		return fmt.Sprintf("device %s obeys operator root %s", e.Device, short(e.Root))
	case audit.Refreshed:
		return fmt.Sprintf("channel %s is at version %d", e.Channel, e.Metadata)
	case audit.Accepted:
		return fmt.Sprintf("%s passed every check: bundle %s, policy %s", subject(e), short(e.Bundle), short(e.Policy))
	case audit.Refused:
		return fmt.Sprintf("%s at step %s: %s: %s", subject(e), e.Step, e.Reason, strings.TrimPrefix(e.Message, string(e.Reason)+": "))
	case audit.Intent:
		return intent(e)
	case audit.Outcome:
		return outcome(e)
	case audit.Equivocation:
		return fmt.Sprintf("channel %s: %s", e.Channel, e.Message)
	default: // removed, rolled-back, gap
		return ending(e)
	}
}

func intent(e audit.Event) string {
	s := fmt.Sprintf("%s %s: bundle %s", e.Action, subject(e), short(e.Bundle))
	if e.Render != "" {
		s += ", render " + short(e.Render)
	}
	return s
}

func outcome(e audit.Event) string {
	if e.Result == audit.OK {
		return fmt.Sprintf("%s: ok (ends %d)", subject(e), e.Intent)
	}
	s := fmt.Sprintf("%s: failed, %s (ends %d)", subject(e), e.Reason, e.Intent)
	if e.Message != "" {
		s += ": " + strings.TrimPrefix(e.Message, string(e.Reason)+": ")
	}
	return s
}

func ending(e audit.Event) string {
	var parts []string
	if s := subject(e); s != "" {
		parts = append(parts, s)
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	s := strings.Join(parts, ": ")
	if e.Intent != 0 {
		s += fmt.Sprintf(" (ends %d)", e.Intent)
	}
	return s
}

// subject is what an event is about, in the words that it has.
func subject(e audit.Event) string {
	switch {
	case e.Application != "":
		return strings.TrimSpace(e.Application + " " + e.Release)
	case e.Deployment != "":
		return "deployment " + e.Deployment
	case e.Channel != "":
		return "channel " + e.Channel
	default:
		return ""
	}
}

// short is enough of a digest for the eye; JSON and "show" have all of it.
func short(d digest.Digest) string {
	if len(d) <= 19 {
		return string(d)
	}
	return string(d[:19])
}

package doctor

import (
	"fmt"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

const (
	// firstYear is before any release of this program, and lastYear after the
	// life of any device that runs it: a clock outside was never set.
	firstYear, lastYear = 2025, 2099
	// clockTolerance is what the agent tolerates without a word, too.
	clockTolerance = time.Minute
	// farAhead is more than a connected device can lie behind its channels, whose
	// timestamps are signed every few days.
	farAhead = 365 * 24 * time.Hour
	// soon is when a channel's owner should have refreshed it.
	soon = 24 * time.Hour
)

const setClock = "set the system clock and have it follow a time server ('timedatectl set-ntp true')"

func clock(f Facts) []Finding {
	c := f.Clock
	if c.Err != nil {
		return []Finding{failed(CheckClock, "", c.Err, "")}
	}
	out := judgeClock(c)
	out.Figures = map[string]int64{"behindSeconds": int64(c.Now().Sub(c.System) / time.Second)}
	return []Finding{out}
}

func judgeClock(c Clock) Finding {
	system := "the system clock says " + stamp(c.System)
	switch year := c.System.UTC().Year(); {
	case year < firstYear || year > lastYear:
		return fail(CheckClock, "", reason.Clock, system+", which cannot be", setClock)
	case c.Now().Sub(c.System) > clockTolerance:
		which := "the latest signed time is "
		if c.Now().Equal(c.Built) {
			which = "this program was built at "
		}
		return warn(CheckClock, "", system+"; "+which+stamp(c.Now())+", and that is used instead", setClock)
	case !c.Floor.IsZero() && c.System.Sub(c.Floor) > farAhead:
		return warn(CheckClock, "", fmt.Sprintf("%s, %s after the latest signed time", system, span(c.System.Sub(c.Floor))),
			"see whether the clock is right; if it is, this device has not reached its channels for that long")
	case c.Floor.IsZero():
		return ok(CheckClock, "", system+"; no signed time has been seen yet")
	default:
		return ok(CheckClock, "", system+", the latest signed time is "+stamp(c.Floor))
	}
}

func channels(f Facts) []Finding {
	var out []Finding
	for _, c := range f.Channels {
		out = append(out, judgeChannel(c, f.Clock.Now()))
	}
	return out
}

func judgeChannel(c Channel, now time.Time) Finding {
	switch {
	case c.Never:
		return warn(CheckChannel, c.Subject, "nothing has been read from it yet", "run 'agent sync'")
	case c.Err != nil:
		return failed(CheckChannel, c.Subject, c.Err, "")
	}
	left := c.Expires.Sub(now)
	out := ok(CheckChannel, c.Subject, fmt.Sprintf("signed %s, valid until %s, %s left", stamp(c.SignedAt), stamp(c.Expires), span(left)))
	const owner = "its owner runs 'publisher channel refresh', and 'agent sync' takes that up"
	switch {
	case left <= 0:
		out.Status, out.Reason = Fail, reason.Freeze
		out.Found = fmt.Sprintf("signed %s, expired %s, %s ago: what runs goes on, nothing new is applied", stamp(c.SignedAt), stamp(c.Expires), span(-left))
		out.Next = owner + "; if it has been refreshed, the registry holds that back or this device's clock is ahead"
	case left < soon:
		out.Status, out.Next = Warn, owner
	}
	out.SignedAt, out.Expires = c.SignedAt.UTC(), c.Expires.UTC()
	out.Figures = map[string]int64{"leftSeconds": int64(left / time.Second)}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// span says a duration in the unit in which a person would.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	default:
		return fmt.Sprintf("%d seconds", d/time.Second)
	}
}

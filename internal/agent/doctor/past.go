package doctor

import (
	"fmt"

	"github.com/consign-dev/consign/internal/reason"
)

func log(f Facts) []Finding {
	if f.Log.Unknown {
		return nil
	}
	return []Finding{judgeLog(f.Log, f.State.Holder != nil)}
}

// judgeLog: while an agent is at work, events wait for their checkpoint and
// intents for their outcome; otherwise something was interrupted.
func judgeLog(l Log, working bool) Finding {
	const again = "run 'agent sync': it records what was interrupted and signs what is pending"
	switch {
	case l.Tampered:
		return fail(CheckLog, "", reason.DigestMismatch, l.Err.Error(), "keep the state directory as it is, and call the operator and the auditor")
	case l.Err != nil:
		return failed(CheckLog, "", l.Err, "run this as the user of the agent, and check the disk")
	}
	found := fmt.Sprintf("%d event(s) under a signed checkpoint verify, %d pending", l.Size, l.Pending)
	out := ok(CheckLog, "", found)
	switch {
	case working:
	case l.Open > 0:
		out = warn(CheckLog, "", fmt.Sprintf("%s, %d begun and not ended", found, l.Open), again)
	case l.Torn > 0:
		out = warn(CheckLog, "", found+", one was cut short by a crash", again)
	case l.Pending > 0:
		out = warn(CheckLog, "", found, again)
	}
	out.Figures = map[string]int64{"events": int64(l.Size), "pending": int64(l.Pending), "open": int64(l.Open)}
	return out
}

// orders lists the refusals and failures that have not been overcome. One that
// passes by itself, or when the other side publishes, is no fault of the device.
func orders(f Facts) []Finding {
	if f.State.Err != nil || f.State.Unusable != nil {
		return nil
	}
	var out []Finding
	for _, a := range f.Attempts {
		found := "at " + stamp(a.At) + ": " + a.Text
		if a.NotBefore.After(f.Clock.Now()) {
			found += "; tried again at " + stamp(a.NotBefore)
		}
		one := fail(CheckOrders, a.Subject, a.Reason, found, a.Reason.Next())
		if a.Reason.Class() != reason.Person {
			one.Status = Warn
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		out = append(out, ok(CheckOrders, "", "no refusal or failure is open"))
	}
	return out
}

func drift(f Facts) []Finding {
	var out []Finding
	for _, d := range f.Deviations {
		out = append(out, warn(CheckDrift, d.Subject, "at "+stamp(d.At)+": "+d.Text,
			"find out who changed it; 'agent sync' puts it right unless the policy says that drift is only reported"))
	}
	return out
}

package doctor

import (
	"fmt"

	"github.com/consign-dev/consign/internal/reason"
)

func configuration(f Facts) []Finding {
	var out []Finding
	for _, b := range f.Broken {
		out = append(out, failed(CheckConfiguration, b.Field, b.Err, "correct the file, or the field that names it in the configuration"))
	}
	if len(out) == 0 {
		out = append(out, ok(CheckConfiguration, "", "every file that it names can be used"))
	}
	return out
}

func state(f Facts) []Finding {
	s := f.State
	if s.Err != nil {
		return []Finding{failed(CheckState, s.Path, s.Err, "make it with 'agent init', or name the right directory (stateDir, --state-dir); a directory that is there is read by its owner and root only")}
	}
	out := []Finding{judgeState(s)}
	if s.Unusable == nil {
		out = append(out, judgeLock(s))
	}
	return out
}

func judgeState(s State) Finding {
	seen := fmt.Sprintf("mode %04o, owner uid %d", s.Mode.Perm(), s.Owner)
	var out Finding
	switch {
	case s.Unusable != nil:
		return failed(CheckState, s.Path, s.Unusable, "run this as the user of the agent (root, in general); a device that is new here needs 'agent init', a damaged file comes from a backup")
	case s.Mode.Perm()&0o022 != 0:
		out = fail(CheckState, s.Path, "", seen+": others can replace what is in it", fmt.Sprintf("run 'chmod 0700 %s' and find out who was there", s.Path))
	case s.Mode.Perm() != 0o700:
		out = warn(CheckState, s.Path, seen+", not 0700", fmt.Sprintf("run 'chmod 0700 %s'", s.Path))
	case s.Owner != s.Self:
		out = warn(CheckState, s.Path, fmt.Sprintf("%s, but this program runs as uid %d", seen, s.Self), "run the agent as one user only, and give that user the directory ('chown -R')")
	default:
		out = ok(CheckState, s.Path, seen)
	}
	out.Figures = map[string]int64{"mode": int64(s.Mode.Perm()), "ownerUid": int64(s.Owner)}
	return out
}

func judgeLock(s State) Finding {
	switch {
	case s.HolderErr != nil:
		return warn(CheckLock, "", "who works on the state directory cannot be told: "+s.HolderErr.Error(), "look with 'ps'; it is harmless if the rest is in order")
	case s.Holder == nil:
		return ok(CheckLock, "", "no agent works on the state directory now")
	default:
		out := ok(CheckLock, "", "held by "+s.Holder.String())
		out.Figures = map[string]int64{"pid": int64(s.Holder.PID)}
		return out
	}
}

// String names a process for people.
func (p Process) String() string {
	if p.PID == 0 {
		return "a process that cannot be seen from here"
	}
	return fmt.Sprintf("%s (process %d)", p.Name, p.PID)
}

// port: the port may be free, since only "agent run" serves all the time, or
// held by whoever works on the state directory, or by a service manager for the
// agent (see inherited in internal/agent).
func port(f Facts) []Finding {
	p := f.Port
	switch {
	case p.Err != nil:
		return []Finding{warn(CheckPort, p.Address, "who listens there cannot be told: "+p.Err.Error(), "look with 'ss -ltnp'")}
	case !p.Taken:
		return []Finding{ok(CheckPort, p.Address, "free")}
	case len(p.Holders) == 0:
		return []Finding{warn(CheckPort, p.Address, "held by a process that this user cannot see", "run this as root")}
	}
	for _, h := range p.Holders {
		if mayHold(h, f.State.Holder) {
			return []Finding{ok(CheckPort, p.Address, "held by "+h.String())}
		}
	}
	return []Finding{fail(CheckPort, p.Address, reason.Conflict, "held by "+p.Holders[0].String()+": no image can reach the engine",
		"end that process, or set another registryAddress; changing it restarts every container")}
}

func mayHold(h Process, agent *Process) bool {
	return h.Name == "systemd" || agent != nil && agent.PID != 0 && h.PID == agent.PID
}

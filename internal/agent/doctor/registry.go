package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

func registries(f Facts) []Finding {
	var out []Finding
	for _, r := range f.Registries {
		out = append(out, judgeRegistry(r))
	}
	return out
}

func judgeRegistry(r Registry) Finding {
	if r.Err != nil {
		out := failed(CheckRegistry, r.Subject, r.Err, adviceOn(r))
		if r.Late {
			out.Reason, out.Found = reason.Unreachable, fmt.Sprintf("%s: no answer within %s", r.Repository, r.Took)
		}
		return out
	}
	how := "in plain text, as loopback hosts are"
	if r.TLS {
		how = "over TLS"
	}
	news := "it has nothing new"
	if r.Head != r.Known {
		news = "it has something that was not read yet"
	}
	out := ok(CheckRegistry, r.Subject, fmt.Sprintf("%s answers in %d ms, %s; %s", r.Repository, r.Took.Milliseconds(), how, news))
	out.Figures = map[string]int64{"tookMilliseconds": int64(r.Took / time.Millisecond)}
	return out
}

func adviceOn(r Registry) string {
	switch {
	case r.Denied:
		return "put credentials for this host that may read into the Docker configuration ('docker login', dockerConfig), and see under 'credentials' which are used"
	case r.Missing:
		return "the registry answers and has no channel there: compare the address with the one that the channel's owner made, and whether these credentials may see it"
	case r.Certificate:
		return "name the authority of the registry's certificate in the configuration (caFile), and see that the clock is right"
	default:
		return "check name, network, proxy and firewall between here and the registry; what runs does not depend on it"
	}
}

func credentials(f Facts) []Finding {
	c := f.Credentials
	switch {
	case c.Err != nil:
		return []Finding{failed(CheckCredentials, c.Path, c.Err, "correct the Docker configuration, or name another one (dockerConfig)")}
	case c.Path == "":
		return []Finding{ok(CheckCredentials, "", "this user has no home directory and no Docker configuration was named: registries are asked without credentials")}
	case c.Absent:
		return []Finding{ok(CheckCredentials, c.Path, "not there: registries are asked without credentials")}
	}
	return []Finding{judgeCredentials(c)}
}

func judgeCredentials(c Credentials) Finding {
	var with, without, broken []string
	for _, h := range c.Hosts {
		switch {
		case h.Err != nil:
			broken = append(broken, h.Name+": "+h.Err.Error())
		case h.Entry:
			with = append(with, h.Name)
		default:
			without = append(without, h.Name)
		}
	}
	found := fmt.Sprintf("mode %04o; an entry for %s; none for %s", c.Mode.Perm(), listed(with), listed(without))
	var out Finding
	switch {
	case len(broken) > 0:
		out = fail(CheckCredentials, c.Path, "", "credentials cannot be read for "+strings.Join(broken, "; "), "run the credential helper by hand as the user of the agent")
	case c.Secrets && c.Mode.Perm()&0o077 != 0:
		out = warn(CheckCredentials, c.Path, found+"; others can read the secrets in it", fmt.Sprintf("run 'chmod 0600 %s'", c.Path))
	default:
		out = ok(CheckCredentials, c.Path, found)
	}
	out.Figures = map[string]int64{"mode": int64(c.Mode.Perm())}
	return out
}

func listed(names []string) string {
	if len(names) == 0 {
		return "no host"
	}
	return strings.Join(names, ", ")
}

// Package doctor judges the condition of a device: from what was found there
// and the time, it says of each thing whether it is in order, what was seen, and
// what to do next.
//
// It is pure: [Judge] asks nothing of the machine, so that each judgement can be
// tested with facts that no test could bring about. internal/agent gathers the
// facts. docs/spec/doctor.md lists the checks and the fields of the result.
package doctor

import (
	"errors"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

// Status is the outcome of one check.
type Status string

// The outcomes: in order; works today and needs somebody's eye; stands in the way.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// The checks. The text is stable: scripts select findings by it.
const (
	CheckClock         = "clock"
	CheckConfiguration = "configuration"
	CheckState         = "state"
	CheckLock          = "lock"
	CheckChannel       = "channel"
	CheckRegistry      = "registry"
	CheckCredentials   = "credentials"
	CheckDisk          = "disk"
	CheckEngine        = "engine"
	CheckCluster       = "cluster"
	CheckPort          = "port"
	CheckLog           = "log"
	CheckOrders        = "orders"
	CheckDrift         = "drift"
)

// Finding is what one check says about one subject.
type Finding struct {
	Check string `json:"check"`
	// Subject is what was looked at when a check has several: a channel, a
	// host, a deployment, a path.
	Subject string `json:"subject,omitempty"`
	Status  Status `json:"status"`
	// Found says what was seen, one sentence for people.
	Found string `json:"found"`
	// Reason is the reason that the agent would give, or gave, for the same thing.
	Reason reason.Code `json:"reason,omitempty"`
	// Next says what to do; empty when there is nothing to do.
	Next string `json:"next,omitempty"`
	// Figures are the numbers in Found; a name ends with its unit.
	Figures map[string]int64 `json:"figures,omitempty"`
	// SignedAt and Expires are those of a channel's metadata.
	SignedAt time.Time `json:"signedAt,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
}

// Report is the condition of a device.
type Report struct {
	// Device is the Margo device id; empty before init.
	Device string `json:"device,omitempty"`
	// At is the reading of the system clock.
	At time.Time `json:"at"`
	// Status is the worst of all findings.
	Status   Status    `json:"status"`
	Findings []Finding `json:"findings"`
}

// Judge makes the findings, in the order in which a person would read them: a
// wrong clock explains an expired channel, and not the other way round.
func Judge(f Facts) *Report {
	r := &Report{Device: f.Device, At: f.Clock.System.UTC(), Status: OK, Findings: []Finding{}}
	for _, check := range []func(Facts) []Finding{
		clock, configuration, state, channels, registries, credentials, disk, engine, cluster, port, log, orders, drift,
	} {
		r.Findings = append(r.Findings, check(f)...)
	}
	for _, found := range r.Findings {
		if found.Status == Fail || found.Status == Warn && r.Status == OK {
			r.Status = found.Status
		}
	}
	return r
}

func ok(check, subject, found string) Finding {
	return Finding{Check: check, Subject: subject, Status: OK, Found: found}
}

func warn(check, subject, found, next string) Finding {
	return Finding{Check: check, Subject: subject, Status: Warn, Found: found, Next: next}
}

func fail(check, subject string, code reason.Code, found, next string) Finding {
	return Finding{Check: check, Subject: subject, Status: Fail, Reason: code, Found: found, Next: next}
}

// failed is a check whose subject could not be used. An error without a reason
// is a circumstance of this machine, no defect, so it gets none here either.
func failed(check, subject string, err error, next string) Finding {
	var coded *reason.Error
	if !errors.As(err, &coded) {
		return fail(check, subject, "", err.Error(), next)
	}
	if next == "" {
		next = coded.Code.Next()
	}
	return fail(check, subject, coded.Code, err.Error(), next)
}

package doctor

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// healthy are the facts of a device that has nothing to complain about.
func healthy() Facts {
	return Facts{
		Device: "press-07",
		Clock:  Clock{System: noon, Floor: noon.Add(-time.Hour), Built: noon.Add(-24 * time.Hour)},
		State:  State{Path: "/var/lib/consign/agent", Mode: 0o700, Holder: &Process{PID: 71, Name: "agent"}},
		Channels: []Channel{
			{Subject: "deployments", SignedAt: noon.Add(-time.Hour), Expires: noon.Add(7 * 24 * time.Hour)},
			{Subject: "releases acme", SignedAt: noon.Add(-time.Hour), Expires: noon.Add(48 * time.Hour)},
		},
		Registries:  []Registry{{Subject: "deployments", Repository: "registry.example.com/plant/deployments", TLS: true, Took: 12 * time.Millisecond}},
		Credentials: Credentials{Path: "/root/.docker/config.json", Mode: 0o600, Secrets: true, Hosts: []Host{{Name: "registry.example.com", Entry: true}}},
		Disk:        Disk{Space: Space{Free: 4 << 30, Total: 16 << 30}, Reserve: 64 << 20, Content: 9 << 20, Needed: 8 << 20},
		Engine:      Engine{Address: "unix:///var/run/docker.sock", Version: "26.1.5", APIVersion: "1.45", Driver: "overlay2", DataRoot: "/var/lib/docker", Space: &Space{Free: 4 << 30, Total: 16 << 30}},
		Port:        Port{Address: "127.0.0.1:5127", Taken: true, Holders: []Process{{PID: 71, Name: "agent"}}},
		Log:         Log{Size: 12},
	}
}

func TestAHealthyDeviceHasNothingToDo(t *testing.T) {
	r := Judge(healthy())
	if r.Status != OK || r.Device != "press-07" || !r.At.Equal(noon) {
		t.Errorf("report %+v", r)
	}
	seen := map[string]bool{}
	for _, f := range r.Findings {
		seen[f.Check] = true
		if f.Status != OK || f.Next != "" || f.Reason != "" || f.Found == "" {
			t.Errorf("%+v", f)
		}
	}
	if seen[CheckCluster] {
		t.Error("something is said of a cluster, which the configuration does not name")
	}
	for _, check := range []string{CheckClock, CheckConfiguration, CheckState, CheckLock, CheckChannel, CheckRegistry, CheckCredentials, CheckDisk, CheckEngine, CheckPort, CheckLog, CheckOrders} {
		if !seen[check] {
			t.Errorf("nothing is said about %s", check)
		}
	}
}

// Each case changes one thing on a healthy device; exactly one finding follows
// from it, and whoever reads it learns what to do.
func TestJudge(t *testing.T) {
	unreachable := reason.New(reason.Unreachable, "dial: connection refused")
	for name, c := range map[string]struct {
		edit   func(f *Facts)
		check  string
		status Status
		code   reason.Code
		says   string
	}{
		"clock never set":       {func(f *Facts) { f.Clock.System = time.Unix(0, 0) }, CheckClock, Fail, reason.Clock, "1970-01-01"},
		"clock in the far past": {func(f *Facts) { f.Clock = Clock{System: noon.AddDate(-1, 0, -60)} }, CheckClock, Fail, reason.Clock, "cannot be"},
		"clock beyond sense":    {func(f *Facts) { f.Clock = Clock{System: noon.AddDate(90, 0, 0)}; f.Channels = nil }, CheckClock, Fail, reason.Clock, "2116"},
		"clock behind":          {func(f *Facts) { f.Clock.Floor = noon.Add(2 * time.Minute) }, CheckClock, Warn, "", "the latest signed time is 2026-03-01 12:02"},
		"clock before build":    {func(f *Facts) { f.Clock.Built = noon.Add(time.Hour) }, CheckClock, Warn, "", "was built at 2026-03-01 13:00"},
		"clock far ahead":       {func(f *Facts) { f.Clock.Floor = noon.AddDate(-1, 0, -1) }, CheckClock, Warn, "", "366 days after"},
		"time.json damaged":     {func(f *Facts) { f.Clock.Err = reason.New(reason.Malformed, "time.json") }, CheckClock, Fail, reason.Malformed, "time.json"},

		"file missing": {func(f *Facts) { f.Broken = []Broken{{"caFile", errors.New("no such file")}} }, CheckConfiguration, Fail, "", "no such file"},

		"state missing":        {func(f *Facts) { f.State.Err = fs.ErrNotExist; f.Log.Unknown = true }, CheckState, Fail, "", "not exist"},
		"not initialised":      {func(f *Facts) { f.State.Unusable = errors.New("is not initialised") }, CheckState, Fail, "", "not initialised"},
		"writable by others":   {func(f *Facts) { f.State.Mode = 0o770 }, CheckState, Fail, "", "0770"},
		"readable by others":   {func(f *Facts) { f.State.Mode = 0o755 }, CheckState, Warn, "", "0755"},
		"of another user":      {func(f *Facts) { f.State.Owner = 1000 }, CheckState, Warn, "", "uid 1000"},
		"lock not visible":     {func(f *Facts) { f.State.HolderErr = errors.New("no /proc") }, CheckLock, Warn, "", "no /proc"},
		"channel ends soon":    {func(f *Facts) { f.Channels[1].Expires = noon.Add(24*time.Hour - time.Second) }, CheckChannel, Warn, "", "23 hours left"},
		"channel ends now":     {func(f *Facts) { f.Channels[1].Expires = noon }, CheckChannel, Fail, reason.Freeze, "0 seconds ago"},
		"channel ended":        {func(f *Facts) { f.Channels[0].Expires = noon.Add(-time.Hour) }, CheckChannel, Fail, reason.Freeze, "60 minutes ago"},
		"channel never read":   {func(f *Facts) { f.Channels[0] = Channel{Subject: "deployments", Never: true} }, CheckChannel, Warn, "", "nothing has been read"},
		"channel damaged":      {func(f *Facts) { f.Channels[0].Err = reason.New(reason.DigestMismatch, "snapshot") }, CheckChannel, Fail, reason.DigestMismatch, "snapshot"},
		"registry unreachable": {func(f *Facts) { f.Registries[0].Err = unreachable }, CheckRegistry, Fail, reason.Unreachable, "refused"},
		"registry late": {func(f *Facts) {
			f.Registries[0].Err, f.Registries[0].Late, f.Registries[0].Took = errors.New("deadline"), true, 5*time.Second
		}, CheckRegistry, Fail, reason.Unreachable, "no answer within 5s"},
		"registry denies":      {func(f *Facts) { f.Registries[0].Err, f.Registries[0].Denied = unreachable, true }, CheckRegistry, Fail, reason.Unreachable, "refused"},
		"registry lacks it":    {func(f *Facts) { f.Registries[0].Err, f.Registries[0].Missing = unreachable, true }, CheckRegistry, Fail, reason.Unreachable, "refused"},
		"registry unknown CA":  {func(f *Facts) { f.Registries[0].Err, f.Registries[0].Certificate = unreachable, true }, CheckRegistry, Fail, reason.Unreachable, "refused"},
		"docker config broken": {func(f *Facts) { f.Credentials.Err = reason.New(reason.Malformed, "config.json") }, CheckCredentials, Fail, reason.Malformed, "config.json"},
		"secrets readable":     {func(f *Facts) { f.Credentials.Mode = 0o644 }, CheckCredentials, Warn, "", "0644"},
		"helper broken":        {func(f *Facts) { f.Credentials.Hosts[0].Err = errors.New("exec: not found") }, CheckCredentials, Fail, "", "registry.example.com: exec"},

		"disk full":        {func(f *Facts) { f.Disk.Space.Free = 64<<20 - 1 }, CheckDisk, Fail, reason.NoSpace, "64.0 MiB must stay free"},
		"disk nearly full": {func(f *Facts) { f.Disk.Space.Free = 512 << 20 }, CheckDisk, Warn, "", "512.0 MiB free of 16.0 GiB"},
		"disk gone":        {func(f *Facts) { f.Disk.Err = errors.New("input/output error") }, CheckDisk, Fail, "", "input/output"},
		"store damaged":    {func(f *Facts) { f.Disk.StoreErr = reason.New(reason.DigestMismatch, "stored") }, CheckDisk, Fail, reason.DigestMismatch, "stored"},
		"engine disk full": {func(f *Facts) { f.Engine.Space.Free = 0 }, CheckDisk, Fail, reason.NoSpace, "0.0 MiB free"},
		"engine gone":      {func(f *Facts) { f.Engine.Err = unreachable }, CheckEngine, Fail, reason.Unreachable, "refused"},

		"cluster gone":          {func(f *Facts) { onCluster(f); f.Cluster.Err = unreachable }, CheckCluster, Fail, reason.Unreachable, "refused"},
		"several nodes":         {func(f *Facts) { onCluster(f); f.Cluster.Nodes = 3 }, CheckCluster, Fail, reason.Ineligible, "v1.37.2, 3 node(s): images are served"},
		"cluster without nodes": {func(f *Facts) { onCluster(f); f.Cluster.Nodes = 0 }, CheckCluster, Warn, "", "0 node(s)"},

		"port of another":    {func(f *Facts) { f.Port.Holders = []Process{{PID: 9, Name: "nginx"}} }, CheckPort, Fail, reason.Conflict, "nginx (process 9)"},
		"port of nobody":     {func(f *Facts) { f.Port.Holders = nil }, CheckPort, Warn, "", "cannot see"},
		"port not visible":   {func(f *Facts) { f.Port.Err = errors.New("no /proc") }, CheckPort, Warn, "", "no /proc"},
		"agent without lock": {func(f *Facts) { f.State.Holder = nil }, CheckPort, Fail, reason.Conflict, "agent (process 71)"},

		"log tampered":    {func(f *Facts) { f.Log = Log{Err: errors.New("tampering found"), Tampered: true} }, CheckLog, Fail, reason.DigestMismatch, "tampering"},
		"log unreadable":  {func(f *Facts) { f.Log = Log{Err: errors.New("permission denied")} }, CheckLog, Fail, "", "permission"},
		"events pending":  {func(f *Facts) { f.Log.Pending = 2; idle(f) }, CheckLog, Warn, "", "2 pending"},
		"event torn":      {func(f *Facts) { f.Log.Torn = 7; idle(f) }, CheckLog, Warn, "", "cut short"},
		"intent open":     {func(f *Facts) { f.Log.Open = 1; idle(f) }, CheckLog, Warn, "", "1 begun and not ended"},
		"refused":         {func(f *Facts) { f.Attempts = []Attempt{{Subject: "deployment d", Reason: reason.Grant, Text: "no"}} }, CheckOrders, Fail, reason.Grant, "no"},
		"waits for other": {func(f *Facts) { f.Attempts = []Attempt{{Subject: "deployments", Reason: reason.NoOrder, Text: "none"}} }, CheckOrders, Warn, reason.NoOrder, "none"},
		"tried again": {func(f *Facts) {
			f.Attempts = []Attempt{{Subject: "deployment d", Reason: reason.Unreachable, Text: "pull", NotBefore: noon.Add(time.Minute)}}
		}, CheckOrders, Warn, reason.Unreachable, "again at 2026-03-01 12:01"},
		"drifted": {func(f *Facts) { f.Deviations = []Deviation{{Subject: "deployment d", Text: "web is exited"}} }, CheckDrift, Warn, "", "web is exited"},
	} {
		f := healthy()
		c.edit(&f)
		r := Judge(f)
		var bad []Finding
		for _, found := range r.Findings {
			if found.Status != OK {
				bad = append(bad, found)
			}
		}
		if len(bad) != 1 {
			t.Errorf("%s: %d findings: %+v", name, len(bad), bad)
			continue
		}
		got := bad[0]
		if got.Check != c.check || got.Status != c.status || got.Reason != c.code || r.Status != c.status || !strings.Contains(got.Found, c.says) || got.Next == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// idle makes nobody work on the device, without a word about the port.
func idle(f *Facts) { f.State.Holder, f.Port.Taken = nil, false }

// onCluster has a device run a Kubernetes and no Docker engine.
func onCluster(f *Facts) {
	f.Engine, f.Cluster = Engine{}, Cluster{Kubeconfig: "/etc/consign/kubeconfig", Version: "v1.37.2", Nodes: 1}
}

// A machine without a Docker engine misses nothing.
func TestAClusterInPlaceOfAnEngine(t *testing.T) {
	f := healthy()
	onCluster(&f)
	r := Judge(f)
	seen := map[string]int64{}
	for _, found := range r.Findings {
		seen[found.Check] = found.Figures["nodes"]
	}
	if _, engine := seen[CheckEngine]; engine || seen[CheckCluster] != 1 || r.Status != OK {
		t.Errorf("report %+v", r)
	}
}

// The advice on a registry depends on what is wrong with it.
func TestAdviceOnRegistries(t *testing.T) {
	err := reason.New(reason.Unreachable, "x")
	for want, r := range map[string]Registry{
		"docker login": {Err: err, Denied: true}, "compare the address": {Err: err, Missing: true},
		"caFile": {Err: err, Certificate: true}, "firewall": {Err: err},
	} {
		if got := judgeRegistry(r).Next; !strings.Contains(got, want) {
			t.Errorf("%q, want a word about %s", got, want)
		}
	}
}

func TestWorkInProgressIsNoWarning(t *testing.T) {
	f := healthy()
	f.Log.Pending, f.Log.Open = 1, 1
	if r := Judge(f); r.Status != OK {
		t.Errorf("%+v", r.Findings)
	}
}

// A service manager holds the port for an agent that does not run, and beside one that does.
func TestPortOfTheServiceManager(t *testing.T) {
	f := healthy()
	f.State.Holder, f.Port.Holders = nil, []Process{{PID: 1, Name: "systemd"}}
	if r := Judge(f); r.Status != OK {
		t.Errorf("%+v", r.Findings)
	}
}

func TestTheWorstFindingIsTheReports(t *testing.T) {
	f := healthy()
	f.State.Mode = 0o755
	if r := Judge(f); r.Status != Warn {
		t.Errorf("status %s, want warn", r.Status)
	}
	f.Engine.Err = errors.New("gone")
	f.Deviations = []Deviation{{Subject: "deployment d"}}
	if r := Judge(f); r.Status != Fail {
		t.Errorf("status %s, want fail", r.Status)
	}
}

package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/agent/doctor"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/store"
)

const (
	// askTimeout is how long one registry, or one credential helper, may take to
	// answer a person who waits for all of them.
	askTimeout = 5 * time.Second
	// infoTimeout is longer than an engine's or cluster's own ping, whose error says more.
	infoTimeout = 20 * time.Second
)

// Examine looks at a device and says what is wrong and what to do next. It works
// beside a running agent, on a directory that [Look] would refuse, and before
// Init; it changes nothing and asks registries for one tag each. now reads the
// system clock.
func Examine(ctx context.Context, cfg Config, opts Options, now func() time.Time) *doctor.Report {
	x := &examiner{now: now, a: &Agent{cfg: cfg, opts: opts, dirs: dirs{cfg.StateDir}, store: store.Look(dirs{cfg.StateDir}.store())}}
	defer x.a.Close()
	return doctor.Judge(x.gather(ctx))
}

// examiner gathers facts. What cannot be opened leaves its part of the agent
// nil, and only what depends on it is left out.
type examiner struct {
	now func() time.Time
	a   *Agent
}

func (x *examiner) gather(ctx context.Context) doctor.Facts {
	f := doctor.Facts{Clock: x.clock(), State: x.stateDir(), Broken: x.open()}
	x.identify(&f)
	places := x.places(ctx)
	for _, p := range places {
		f.Channels = append(f.Channels, p.fact)
	}
	f.Registries = x.askAll(ctx, places)
	f.Credentials = x.credentials(ctx, places)
	f.Disk = x.disk()
	f.Engine, f.Cluster = x.engine(ctx), x.cluster(ctx)
	f.Port = portOf(x.a.cfg.RegistryAddress)
	f.Log = x.log(ctx)
	f.Attempts, f.Deviations = x.past()
	return f
}

func (x *examiner) clock() doctor.Clock {
	floor, err := x.a.dirs.loadFloor()
	if errors.Is(err, fs.ErrPermission) {
		err = nil // said of the whole directory
	}
	return doctor.Clock{System: x.now(), Floor: floor, Built: x.a.opts.BuildTime, Err: err}
}

func (x *examiner) stateDir() doctor.State {
	s := doctor.State{Path: x.a.dirs.root, Self: os.Geteuid()}
	var st unix.Stat_t
	if err := unix.Stat(s.Path, &st); err != nil {
		s.Err = &fs.PathError{Op: "look at", Path: s.Path, Err: err}
		return s
	}
	s.Mode, s.Owner = fs.FileMode(st.Mode&0o777), int(st.Uid)
	pid, held, err := durable.Holder(x.a.dirs.lock())
	s.HolderErr = err
	if held {
		s.Holder = &doctor.Process{PID: pid, Name: nameOf(pid)}
	}
	return s
}

// nameOf is what the kernel calls a process.
func nameOf(pid int) string {
	if pid == 0 {
		return ""
	}
	comm, err := os.ReadFile(procFile(pid, "comm"))
	if err != nil {
		return "unnamed"
	}
	return strings.TrimSpace(string(comm))
}

// open opens what the configuration names.
func (x *examiner) open() []doctor.Broken {
	var broken []doctor.Broken
	if _, err := x.a.describeDevice(); err != nil {
		broken = append(broken, doctor.Broken{Field: "capabilities", Err: err})
	}
	var err error
	if x.a.client, err = newClient(x.a.cfg, Options{}); err != nil {
		broken = append(broken, doctor.Broken{Field: "caFile, dockerConfig", Err: err})
	}
	return broken
}

// identify reads what this device is and has done.
func (x *examiner) identify(f *doctor.Facts) {
	if f.State.Err != nil {
		return
	}
	id, err := x.a.dirs.loadIdentity()
	if err == nil {
		x.a.identity, f.Device = id, id.Device
		x.a.state, err = x.a.dirs.loadState()
	}
	f.State.Unusable = err
}

func (x *examiner) log(ctx context.Context) doctor.Log {
	if x.a.identity.Device == "" {
		return doctor.Log{Unknown: true}
	}
	r, err := x.a.Events(ctx, nil)
	return doctor.Log{Size: r.Size, Pending: r.Pending, Torn: r.Torn, Open: len(r.OpenIntents), Err: err, Tampered: audit.IsTampering(err)}
}

// past lists what has gone wrong and has not been overcome.
func (x *examiner) past() (attempts []doctor.Attempt, deviations []doctor.Deviation) {
	if x.a.state == nil {
		return nil, nil
	}
	for _, key := range sortedKeys(x.a.state.Attempts) {
		at := x.a.state.Attempts[key]
		attempts = append(attempts, doctor.Attempt{
			Subject: subjectOf(key), Reason: at.Reason, At: at.At, Text: at.Text, NotBefore: at.NotBefore,
		})
	}
	for _, id := range sortedKeys(x.a.state.present()) {
		d := x.a.state.Deviations[id]
		deviations = append(deviations, doctor.Deviation{Subject: subjectOf(id), Text: d.Text, At: d.At})
	}
	return attempts, deviations
}

// subjectOf names what an attempt's key is about, as findings do.
func subjectOf(key string) string {
	if key == "" {
		return deployments
	}
	if name, ok := strings.CutPrefix(key, ChannelKey("")); ok {
		return releases(name)
	}
	return "deployment " + key
}

const deployments = "deployments"

func releases(name string) string { return "releases " + name }

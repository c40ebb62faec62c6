package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/store"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// Options are what the command, not the configuration file, gives an agent.
type Options struct {
	// ApplierDir is where applier programs are looked for: the directory of the
	// agent's own binary.
	ApplierDir string
	// Program is written into the log with each intent, such as "agent 1.0.0".
	Program string
	// BuildTime is a floor under the clock; zero when the build recorded none.
	BuildTime time.Time
	Log       *slog.Logger
	// From is a directory, made by "publisher copy", that is read in place of
	// registries; "" for the network.
	From string
	// Limits say when a registry is given up; the zero value is the defaults.
	Limits oci.Limits
	// Progress is told how much of a fetch is done; may be nil.
	Progress func(done, total int64)
}

// Agent works on one state directory. One process holds it at a time.
type Agent struct {
	cfg      Config
	opts     Options
	dirs     dirs
	lock     *durable.Lock
	identity Identity
	device   verify.Device
	state    *state
	client   *oci.Client
	store    *store.Store
	// inputs holds the inputs documents of decisions; what they name is in store.
	inputs   *store.Store
	operator *tufclient.Client
	log      *audit.Log
	applier  apply.Each
	secrets  apply.SecretFiles
	floor    time.Time
	serving  bool
	// looks is set while Run works.
	looks *looks
	// kept says that a decision was archived since it was last looked how many are.
	kept bool
	// moved says that this cycle learned or did something worth keeping.
	moved bool
}

// Open locks an initialised state directory and makes it ready for Sync.
func Open(ctx context.Context, cfg Config, opts Options) (*Agent, error) {
	a := &Agent{cfg: cfg, opts: opts, dirs: dirs{cfg.StateDir}}
	if err := a.open(ctx); err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// Look opens a state directory for Status and Events alone. It takes no lock,
// so it works beside "agent run".
func Look(cfg Config, opts Options) (*Agent, error) {
	a := &Agent{cfg: cfg, opts: opts, dirs: dirs{cfg.StateDir}}
	a.store, a.inputs = store.Look(a.dirs.store()), store.Look(a.dirs.inputs())
	return a, a.load()
}

func (a *Agent) open(ctx context.Context) error {
	var err error
	if _, err = a.dirs.loadIdentity(); err != nil {
		return err
	}
	if err := unix.Access(a.dirs.root, unix.W_OK); err != nil {
		return reason.New(reason.LogUnwritable, "the state directory %s cannot be written: %w", a.dirs.root, err)
	}
	if _, err := readOurs(a.dirs.identity(), maxStateBytes); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if a.lock, err = durable.TryLock(a.dirs.lock()); err != nil {
		return lockError(a.dirs, err)
	}
	if err := durable.Sweep(a.dirs.root); err != nil {
		return err
	}
	if a.store, err = store.Open(a.dirs.store()); err != nil {
		return err
	}
	if a.inputs, err = store.Open(a.dirs.inputs()); err != nil {
		return err
	}
	if err := a.load(); err != nil {
		return err
	}
	key, err := a.dirs.loadLogKey()
	if err != nil {
		return err
	}
	if a.log, err = audit.Open(ctx, a.dirs.log(), key, a.identity.Device); err != nil {
		return err
	}
	return a.dropCopies()
}

func (a *Agent) load() error {
	var err error
	if a.identity, err = a.dirs.loadIdentity(); err != nil {
		return err
	}
	if a.device, err = a.describeDevice(); err != nil {
		return err
	}
	if a.state, err = a.dirs.loadState(); err != nil {
		return err
	}
	if a.floor, err = a.dirs.loadFloor(); err != nil {
		return err
	}
	if a.client, err = newClient(a.cfg, a.opts); err != nil {
		return err
	}
	if a.operator, err = tufclient.Open(a.dirs.operator()); err != nil {
		return err
	}
	a.secrets = apply.SecretFiles{Dir: a.cfg.SecretsDir, KeyFile: a.dirs.secretKey()}
	if a.applier, err = a.appliers(); err != nil {
		return err
	}
	a.device.Appliers = a.cfg.ProfileTypes()
	return nil
}

// Close gives the state directory free.
func (a *Agent) Close() error {
	var errs []error
	if a.client != nil {
		errs = append(errs, a.client.Close())
	}
	if a.log != nil {
		errs = append(errs, a.log.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Unlock())
	}
	return errors.Join(errs...)
}

// Identity returns which device this is.
func (a *Agent) Identity() Identity { return a.identity }

func (d dirs) loadIdentity() (Identity, error) {
	var id Identity
	err := readJSON(d.identity(), &id)
	if errors.Is(err, fs.ErrNotExist) {
		return id, fmt.Errorf("%s is not initialised: run 'agent init' with the operator's root first", d.root)
	}
	return id, err
}

// newClient returns the only way by which channels and content reach the agent:
// registries, or a directory and nothing else.
func newClient(cfg Config, opts Options) (*oci.Client, error) {
	o := oci.Options{CAFile: cfg.CAFile, DockerConfig: cfg.DockerConfig, UserAgent: "consign-agent", Limits: opts.Limits}
	if opts.From != "" {
		return oci.NewDirectoryReader(opts.From, o)
	}
	return oci.NewClient(o)
}

// describeDevice gathers what constraints and platform selection ask of the
// machine. The agent runs on the machine whose engine it drives, so its own
// platform is the engine's.
func (a *Agent) describeDevice() (verify.Device, error) {
	dev := verify.Device{
		ID: a.identity.Device, Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Reserved: a.cfg.reserved(),
	}
	if a.cfg.Capabilities == "" {
		return dev, nil
	}
	data, err := durable.ReadFile(a.cfg.Capabilities, maxStateBytes)
	if err != nil {
		return dev, fmt.Errorf("read capabilities: %w", err)
	}
	if dev.Capabilities, err = margo.ParseCapabilities(data); err != nil {
		return dev, fmt.Errorf("%s: %w", a.cfg.Capabilities, err)
	}
	return dev, nil
}

func (d dirs) loadLogKey() (*audit.Key, error) {
	private, err := durable.ReadFile(d.logKey(), 4<<10)
	if err != nil {
		return nil, fmt.Errorf("read log key: %w", err)
	}
	return audit.ParseKey(string(private))
}

// now is the time that documents are judged by: never before what has been
// signed, and never before this program was built.
func (a *Agent) now(system time.Time) time.Time {
	return latest(a.opts.BuildTime, a.floor, system)
}

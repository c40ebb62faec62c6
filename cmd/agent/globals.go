package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/cli"
)

// buildTime is set by the linker to the commit's time, RFC 3339; it is a floor
// under the device's clock. Empty when the build recorded none.
var buildTime string

// globals are the flags that every command of the agent has.
type globals struct {
	config   string
	stateDir string
}

func (g *globals) addFlags(root *cobra.Command) {
	root.PersistentFlags().StringVar(&g.config, "config", "", "configuration `FILE` (default "+agent.DefaultConfigFile+" if it exists)")
	root.PersistentFlags().StringVar(&g.stateDir, "state-dir", "", "state `DIRECTORY`, over the configuration's stateDir")
}

func (g *globals) load() (agent.Config, error) {
	cfg, err := agent.LoadConfig(g.config)
	if err != nil || g.stateDir == "" {
		return cfg, err
	}
	cfg.StateDir, err = filepath.Abs(g.stateDir)
	return cfg, err
}

// open makes the agent ready for a command that works on the state directory.
func (g *globals) open(cmd *cobra.Command) (*agent.Agent, func(), error) {
	return g.openFrom(cmd, "")
}

// openFrom is open with a directory to read in place of registries.
func (g *globals) openFrom(cmd *cobra.Command, dir string) (*agent.Agent, func(), error) {
	cfg, opts, err := g.options()
	if err != nil {
		return nil, nil, err
	}
	opts.From = dir
	bar := cli.NewProgress(cmd.ErrOrStderr(), "fetching", 0)
	opts.Progress = bar.Set
	opts.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	a, err := agent.Open(cmd.Context(), cfg, opts)
	if err != nil {
		return nil, nil, exit(err)
	}
	return a, func() { bar.Close(); _ = a.Close() }, nil
}

// look opens the state directory for reading, beside a running agent.
func (g *globals) look() (*agent.Agent, error) {
	cfg, opts, err := g.options()
	if err != nil {
		return nil, err
	}
	return agent.Look(cfg, opts)
}

func (g *globals) options() (agent.Config, agent.Options, error) {
	quietTessera()
	cfg, err := g.load()
	if err != nil {
		return cfg, agent.Options{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return cfg, agent.Options{}, fmt.Errorf("find this program: %w", err)
	}
	built, err := parseBuildTime()
	return cfg, agent.Options{ApplierDir: filepath.Dir(self), Program: program(), BuildTime: built}, err
}

// exit gives a damaged log the exit code of tampering, as auditor does.
func exit(err error) error {
	if audit.IsTampering(err) {
		return &cli.ExitError{Code: cli.ExitTampering, Err: err}
	}
	return err
}

func parseBuildTime() (time.Time, error) {
	if buildTime == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, buildTime)
	if err != nil {
		return t, fmt.Errorf("this program was built with a broken build time %q: %w", buildTime, err)
	}
	return t, nil
}

func program() string { return cli.ReadVersion("agent").String() }

// quietTessera keeps the log library's own notes off the terminal: what a person
// has to know about the device log is in the errors and results.
func quietTessera() { audit.SetTesseraLogger(slog.New(slog.DiscardHandler)) }

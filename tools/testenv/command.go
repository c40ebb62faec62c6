package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// gracePeriod is how long an interrupted command may clear up before it is
// killed.
const gracePeriod = 30 * time.Second

// runCommand runs a command with an engine and returns the command's exit
// status, whatever happened in between having been taken away.
func runCommand(ctx context.Context, e *engine, args []string) (code int, err error) {
	if len(args) == 0 {
		return 2, errors.New(usage)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	address, private, err := provide(ctx, e)
	if private {
		defer func() { err = errors.Join(err, withRoot(e, "down", e.stop)) }()
	}
	if err != nil {
		return 1, err
	}
	return follow(ctx, args, variable+"="+address)
}

// follow runs a command with further variables until it ends or the context
// does, and returns its exit status.
func follow(ctx context.Context, args []string, variables ...string) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), variables...)
	// A process group of its own, so that an interruption reaches all that the
	// command has started; it has no terminal to read from.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = gracePeriod
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return exitCode(ctx, err)
}

func exitCode(ctx context.Context, err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 130, errors.New("interrupted")
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil // the command has said why
	case err != nil:
		return 1, fmt.Errorf("run command: %w", err)
	}
	return 0, nil
}

package compose

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client"

	"github.com/consign-dev/consign/internal/reason"
)

// noConfig is where Docker's libraries look for configuration: a directory
// that does not exist and that nobody, not even root, can make.
const noConfig = "/proc/consign/no-docker-config"

// pingTimeout is how long an engine may take to say that it is there.
const pingTimeout = 10 * time.Second

// engine is a connection to one Docker engine.
type engine struct {
	client  *client.Client
	compose api.Compose
}

func (e *engine) Close() error { return e.client.Close() }

// connect reaches the engine at an address, and no other.
func connect(ctx context.Context, address string) (*engine, error) {
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	cl, err := client.New(client.WithHost(address))
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", address, err)
	}
	if err := ping(ctx, cl, address); err != nil {
		_ = cl.Close()
		return nil, err
	}
	svc, err := composeService(ctx, cl, address)
	if err != nil {
		_ = cl.Close()
		return nil, fmt.Errorf("engine %s: %w", address, err)
	}
	return &engine{client: cl, compose: svc}, nil
}

// checkAddress accepts a local socket, and TCP without TLS only where it stays
// on the machine.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return reason.New(reason.Malformed, "engine %q: %w", address, err)
	}
	switch u.Scheme {
	case "unix":
		if u.Host == "" && path.IsAbs(u.Path) && path.Clean(u.Path) == u.Path {
			return nil
		}
	case "tcp":
		if host, _, err := net.SplitHostPort(u.Host); err == nil && net.ParseIP(host).IsLoopback() && strings.Trim(u.Path, "/") == "" {
			return nil
		}
	}
	return reason.New(reason.Malformed, "engine %q: must be unix:///absolute/path or tcp:// with a loopback address and port", address)
}

func ping(ctx context.Context, cl *client.Client, address string) error {
	if err := step("ping"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if _, err := cl.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return reason.New(reason.Unreachable, "engine %s: %w", address, err)
	}
	return nil
}

func composeService(ctx context.Context, cl *client.Client, address string) (api.Compose, error) {
	cli, err := command.NewDockerCli(
		command.WithBaseContext(ctx),
		command.WithAPIClient(exactOwner{cl}),
		command.WithInputStream(io.NopCloser(strings.NewReader(""))),
		command.WithCombinedStreams(os.Stderr),
	)
	if err != nil {
		return nil, err
	}
	if err := cli.Initialize(&flags.ClientOptions{Hosts: []string{address}, ConfigDir: noConfig, LogLevel: "warn"}); err != nil {
		return nil, err
	}
	return compose.NewComposeService(cli, compose.WithPrompt(keepData))
}

// exactOwner copies files into containers with the owner that is written beside
// them. Compose, once a secret or config names one, asks the engine for the
// service's user instead, whom the engine looks for among the users of its own
// machine, and fails where there is none of that name.
type exactOwner struct{ client.APIClient }

// CopyToContainer implements [client.APIClient].
func (c exactOwner) CopyToContainer(ctx context.Context, id string, o client.CopyToContainerOptions) (client.CopyToContainerResult, error) {
	o.CopyUIDGID = false
	return c.APIClient.CopyToContainer(ctx, id, o)
}

// keepData answers the only question that Compose asks in our tasks: whether
// to delete and recreate a volume whose definition changed. Data outlives
// definitions.
func keepData(string, bool) (bool, error) { return false, nil }

// engineError gives a failed engine call the reason unreachable when the
// engine went away, and otherwise says what was being done.
func engineError(doing string, err error) error {
	if client.IsErrConnectionFailed(err) {
		return reason.New(reason.Unreachable, "%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

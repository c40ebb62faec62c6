package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/moby/moby/client"
)

const (
	// variable names the engine for the tests.
	variable = "CONSIGN_TEST_ENGINE"
	// machineEngine is where Debian's Docker service listens.
	machineEngine = "unix:///var/run/docker.sock"
)

// existing returns the address of an engine that is there already, or "". An
// engine that was asked for by name has to answer.
func existing(ctx context.Context) (string, error) {
	if address := os.Getenv(variable); address != "" {
		if err := answers(ctx, address); err != nil {
			return "", fmt.Errorf("%s=%s: %w", variable, address, err)
		}
		return address, nil
	}
	if answers(ctx, machineEngine) != nil {
		return "", nil
	}
	return machineEngine, nil
}

// answers asks an engine for a sign of life.
func answers(ctx context.Context, address string) error {
	c, err := client.New(client.WithHost(address))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err = c.Ping(ctx, client.PingOptions{})
	return err
}

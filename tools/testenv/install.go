package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// daemonPath is where Debian keeps the daemons and what they start.
const daemonPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// find returns the path of a program in daemonPath, or "".
func find(program string) string {
	for _, dir := range filepath.SplitList(daemonPath) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// install gets Debian's engine if it is not there.
func install(ctx context.Context) error {
	if find("dockerd") != "" && find("containerd") != "" {
		return nil
	}
	if err := installPackages(ctx, "docker.io"); err != nil {
		return fmt.Errorf("no Docker engine answers (install one or set %s): %w", variable, err)
	}
	return nil
}

// installPackages gets packages of Debian's.
func installPackages(ctx context.Context, packages ...string) error {
	if find("apt-get") == "" {
		return fmt.Errorf("%s is not here, nor apt-get to install it", strings.Join(packages, ", "))
	}
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, packages...)} {
		fmt.Fprintf(os.Stderr, "testenv: apt-get %s (for %s)\n", args[0], strings.Join(packages, ", "))
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-qq"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "PATH="+daemonPath)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}

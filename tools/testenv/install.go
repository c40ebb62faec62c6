package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	if find("apt-get") == "" {
		return fmt.Errorf("no Docker engine answers, and neither dockerd nor apt-get is here: install a Docker engine or set %s", variable)
	}
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "docker.io"}} {
		fmt.Fprintln(os.Stderr, "testenv: apt-get", args[0], "(for docker.io)")
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-qq"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "PATH="+daemonPath)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}

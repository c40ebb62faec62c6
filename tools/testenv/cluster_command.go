package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// runWithCluster runs a command with a cluster, or without a command says how to
// use the cluster until it is interrupted, and returns the command's exit status,
// the cluster having been taken away.
func runWithCluster(ctx context.Context, c *cluster, args []string) (code int, err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	data, err := existingCluster()
	if err != nil {
		return 1, err
	}
	if data == "" {
		server, err := startServer(ctx, c)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, server.stop()) }()
		data = c.data
	}
	if len(args) == 0 {
		fmt.Printf("export %s=%s\nkubectl=\"%s/kubectl --kubeconfig %s\"\n", clusterVariable, data, os.Getenv("CONSIGN_KUBE_BIN"), c.kubeconfig())
		fmt.Fprintln(os.Stderr, "testenv: the cluster runs until this is interrupted")
		<-ctx.Done()
		return 0, nil
	}
	return follow(ctx, args, clusterVariable+"="+data)
}

// server is the testenv, as root, that has the cluster: this program again, which
// takes the cluster away when our end of its standard input closes, as it does
// however we end.
type server struct {
	cmd  *exec.Cmd
	hold io.Closer
}

// startServer returns when the cluster can be used.
func startServer(ctx context.Context, c *cluster) (*server, error) {
	tools, err := clusterTools()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{self, "cluster", "serve", "--dir", c.dir, "--name", c.name, "--group", fmt.Sprint(c.group), "--tools", tools}
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("sudo"); err != nil {
			return nil, errors.New("a cluster needs root: run this as root or install sudo")
		}
		args = append([]string{"sudo", "-n"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = newSession() // it ends when we say so, not with the terminal
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start cluster: %w", err)
	}
	s := &server{cmd, hold}
	interrupted := context.AfterFunc(ctx, func() { _ = hold.Close() })
	defer interrupted()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, errors.Join(errors.New("the cluster did not start"), s.stop())
	}
	return s, nil
}

func (s *server) stop() error {
	_ = s.hold.Close()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

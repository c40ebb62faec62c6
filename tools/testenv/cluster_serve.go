package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

// serve has a cluster, as root, until owner ends. It writes a line to ready when
// the cluster can be used.
func (c *cluster) serve(ctx context.Context, tools string, owner io.Reader, ready io.Writer) (err error) {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, owner)
		cancel()
	}()
	if err := installCluster(ctx); err != nil {
		return err
	}
	n, claimed, err := c.begin(tools)
	if claimed != nil {
		// The claim goes last: until then nobody else clears up.
		defer func() { err = errors.Join(err, c.remove(), claimed.Close()) }()
	}
	if err != nil {
		return err
	}
	defer n.kill()
	if err := n.ready(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if _, err := fmt.Fprintln(ready, c.data); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-n.ended:
		return fmt.Errorf("the cluster ended: %s", n.cmd.ProcessState)
	}
}

// begin makes the cluster's directory, namespaces and network.
func (c *cluster) begin(tools string) (*node, *os.File, error) {
	unlock, err := lockMachine()
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if err := c.sweepClusters(); err != nil {
		return nil, nil, err
	}
	for _, dir := range []string{c.data, filepath.Join(c.data, "lib"), filepath.Join(c.data, "log")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, nil, err
		}
	}
	claimed, err := os.Open(c.data)
	if err != nil {
		return nil, nil, err
	}
	if err := claim(claimed); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("claim %s: %w", c.data, err), claimed.Close())
	}
	network, err := freeNetwork(c.id())
	if err != nil {
		return nil, claimed, err
	}
	n, err := c.launch(tools, network)
	if err != nil {
		return nil, claimed, err
	}
	// Whoever enters the node's namespaces finds them by this process.
	pid := os.WriteFile(filepath.Join(c.data, "init.pid"), fmt.Appendln(nil, n.cmd.Process.Pid), 0o644)
	if err := errors.Join(pid, c.connect(n, network)); err != nil {
		n.kill()
		return nil, claimed, err
	}
	return n, claimed, nil
}

// node is the cluster's first process, in its namespaces.
type node struct {
	cmd   *exec.Cmd
	begin io.WriteCloser // closed when it has its network
	said  *os.File       // what it writes when the cluster can be used
	ended chan struct{}  // closed when it was waited for, and with it all others in the namespaces
}

// launch starts the node, which the kernel kills when we end, however we do.
func (c *cluster) launch(tools string, network network) (*node, error) {
	cmd := exec.Command("/proc/self/exe", "cluster", "init", "--data", c.data, "--tools", tools,
		"--network", network.String(), "--cgroup", c.cgroup(), "--group", fmt.Sprint(c.group))
	cmd.Env = []string{"PATH=" + daemonPath, "HOME=/run"}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
	}
	begin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	cmd.Stdout = write
	n := &node{cmd: cmd, begin: begin, said: said, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel kills the node when this thread ends: it ends with us.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its state
			close(n.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start cluster: %w", err)
	}
	return n, nil
}

// ready waits until the node says that the cluster can be used.
func (n *node) ready(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = n.said.Close() })
	defer stop()
	_ = n.begin.Close()
	if _, err := n.said.Read(make([]byte, 1)); err != nil && ctx.Err() == nil {
		return errors.New("the cluster ended before it could be used")
	}
	return nil
}

// kill ends the node and with it every process in its namespaces.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.ended
	_ = n.said.Close()
}

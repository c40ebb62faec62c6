package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"
)

const cniPlugins = "/usr/lib/cni"

//go:embed cluster
var nodeFiles embed.FS

// nodeRunner runs a cluster's programs, in its namespaces.
type nodeRunner struct {
	network network
	cgroup  string
	group   int
	api     *api
	ended   chan error // of a program
}

// run starts the cluster, writes a line to ready when it can be used, and returns
// when one of its programs ends. Begin ends when the network is there.
func (n *nodeRunner) run(ctx context.Context, begin io.Reader, ready io.Writer) error {
	if _, err := io.Copy(io.Discard, begin); err != nil {
		return err
	}
	n.ended = make(chan error, 8) // there are seven
	err := errors.Join(connectNode(n.network), n.writePKI(), n.writeConfigs())
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{n.startControl, n.importPause, n.startNode} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(ready, "ready"); err != nil {
		return err
	}
	return <-n.ended
}

func (n *nodeRunner) writeConfigs() error {
	values := map[string]string{"CGroup": n.cgroup, "Pods": n.network.pods()}
	return errors.Join(
		fill("containerd.toml", "/run/containerd.toml", 0o600, values),
		fill("kubelet.yaml", "/run/kubelet.yaml", 0o600, values),
		fill("bridge.conflist", "/run/cni/bridge.conflist", 0o600, values),
	)
}

// fill writes one of the files of the directory cluster, with values in it.
func fill(name, path string, mode os.FileMode, values map[string]string) error {
	t, err := template.ParseFS(nodeFiles, "cluster/"+name)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := errors.Join(t.Execute(&text, values), os.MkdirAll(filepath.Dir(path), 0o755)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(path, text.Bytes(), mode)
}

// start runs a program of the cluster until the cluster ends. Its output is in
// log/NAME.log of the cluster's directory.
func (n *nodeRunner) start(name, program string, args ...string) error {
	log, err := os.Create(programLog(name))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/run", log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() { n.ended <- fmt.Errorf("%s ended: %v\n%s", name, cmd.Wait(), lastLines(programLog(name))) }()
	return nil
}

// kube starts one of Kubernetes' programs.
func (n *nodeRunner) kube(name string, args ...string) error {
	return n.start(name, filepath.Join(nodeTools, "kubebox"), append([]string{name}, args...)...)
}

func programLog(name string) string { return filepath.Join("/var/log", name+".log") }

// clusterPatience is how long a step of the start may take. It bounds a hang; all
// of the start takes some ten seconds where the machine has nothing else to do.
const clusterPatience = 5 * time.Minute

// await asks again until there is no error, and blames program when that does not
// come.
func (n *nodeRunner) await(ctx context.Context, program string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, clusterPatience)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case ended := <-n.ended:
			return ended
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", program, err, lastLines(programLog(program)))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clusterVariable names the cluster for the tests: the directory of a cluster.
const clusterVariable = "CONSIGN_TEST_CLUSTER"

// cluster is a private Kubernetes. Its programs run in namespaces of their own
// for processes, mounts and the network, so it ends, as a whole, with the first
// process of those. What it has outside of them follows from its directory and
// name alone, so that any later testenv can take it away.
//
// In data are, for the tests, kubeconfig and init.pid, whose network namespace is
// the node's; log has the programs' output; lib is the node's /var/lib.
type cluster struct {
	dir, name string
	group     int
	data      string
}

func newCluster(dir, name string, group int) *cluster {
	return &cluster{dir: dir, name: name, group: group, data: filepath.Join(dir, "clusters", name)}
}

// id is short and the cluster's own among those of the machine.
func (c *cluster) id() string {
	sum := sha256.Sum256([]byte(c.data))
	return hex.EncodeToString(sum[:4])
}

func (c *cluster) cgroup() string     { return "consign-cluster-" + c.id() }
func (c *cluster) veth() string       { return "kube-" + c.id() }
func (c *cluster) kubeconfig() string { return filepath.Join(c.data, "kubeconfig") }

// existingCluster returns the cluster that was asked for by name, or "". It has to
// be running.
func existingCluster() (string, error) {
	data := os.Getenv(clusterVariable)
	if data == "" {
		return "", nil
	}
	dir, err := os.Open(data)
	if err != nil {
		return "", fmt.Errorf("%s=%s: %w", clusterVariable, data, err)
	}
	defer dir.Close()
	if claim(dir) == nil {
		return "", fmt.Errorf("%s=%s: the cluster has ended", clusterVariable, data)
	}
	return data, nil
}

// claim makes the directory of a cluster that of the process that opened it. A
// directory that can be claimed belongs to a process that has ended.
func claim(dir *os.File) error {
	return unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// lockMachine keeps other testenvs of the machine from looking for free address
// ranges, and for what dead ones left, at the same time.
func lockMachine() (unlock func(), err error) {
	dir, err := os.Open("/run")
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock /run: %w", err), dir.Close())
	}
	return func() { _ = dir.Close() }, nil
}

// sweepClusters takes away what the clusters of testenvs that were killed left.
func (c *cluster) sweepClusters() error {
	left, _ := filepath.Glob(filepath.Join(c.dir, "clusters", "*"))
	var errs []error
	for _, data := range left {
		dir, err := os.Open(data)
		if err != nil {
			continue // it went by itself
		}
		if claim(dir) == nil {
			errs = append(errs, newCluster(c.dir, filepath.Base(data), c.group).remove())
		}
		_ = dir.Close()
	}
	return errors.Join(errs...)
}

// remove takes away what a cluster leaves whose processes are gone or about to go:
// its control groups and its directory. The rest went with its namespaces.
func (c *cluster) remove() error {
	var err error
	for deadline := time.Now().Add(gracePeriod); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = errors.Join(removeControlGroups(c.cgroup()), os.RemoveAll(c.data)); err == nil {
			break
		}
	}
	_ = os.Remove(filepath.Dir(c.data)) // unless another cluster is there
	return err
}

// installCluster gets Debian's containerd and what a node needs beside it.
func installCluster(ctx context.Context) error {
	var missing []string
	for _, need := range []struct{ program, debian string }{
		{"containerd", "containerd"}, {"runc", "runc"}, {"ip", "iproute2"}, {"nft", "nftables"},
	} {
		if find(need.program) == "" {
			missing = append(missing, need.debian)
		}
	}
	if _, err := os.Stat(filepath.Join(cniPlugins, "bridge")); err != nil {
		missing = append(missing, "containernetworking-plugins")
	}
	if len(missing) == 0 {
		return nil
	}
	return installPackages(ctx, missing...)
}

// clusterTools are the programs of tools/kube.
func clusterTools() (string, error) {
	dir := os.Getenv("CONSIGN_KUBE_BIN")
	if !strings.HasPrefix(dir, "/") {
		return "", errors.New("CONSIGN_KUBE_BIN does not name the programs of tools/kube: run this with 'make test' or 'make cluster'")
	}
	return dir, nil
}

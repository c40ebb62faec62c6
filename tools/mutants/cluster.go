package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// clusterVariable names a Kubernetes that runs.
const clusterVariable = "CONSIGN_TEST_CLUSTER"

// withCluster runs this program again, with the same arguments, beside a Kubernetes
// that ends with it. An interrupt reaches all of them, and none is killed before it
// has put away what it started.
func withCluster(root string, out io.Writer) error {
	cache := os.Getenv("CONSIGN_CACHE")
	if cache == "" {
		return errors.New("the tests of some rows need a Kubernetes: run 'make mutants', or start one with 'make cluster' and set " + clusterVariable + " as it says")
	}
	build := exec.Command("tools/tool.sh", "kube")
	build.Dir, build.Stderr = root, os.Stderr
	kube, err := build.Output()
	if err != nil {
		return fmt.Errorf("build a Kubernetes: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	again := exec.Command("go", append([]string{"run", "./tools/testenv", "cluster", "run", "--dir", cache, "--", self}, os.Args[1:]...)...)
	again.Dir, again.Stdout, again.Stderr = root, out, os.Stderr
	again.Env = append(os.Environ(), "CONSIGN_KUBE_BIN="+strings.TrimSpace(string(kube)))
	if err := again.Run(); err != nil {
		return fmt.Errorf("with a Kubernetes: %w", err)
	}
	return nil
}

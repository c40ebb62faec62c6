package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// runCluster runs a step: run is for the caller; for it, serve runs as root, init
// in the cluster's namespaces, and node below init.
func runCluster(ctx context.Context, step string, args []string) (int, error) {
	flags := flag.NewFlagSet("testenv", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory for the data of clusters")
	name := flags.String("name", fmt.Sprintf("run-%d", os.Getpid()), "name of the cluster within the directory")
	group := flags.Int("group", os.Getgid(), "group that may use the cluster")
	tools := flags.String("tools", "", "directory of the programs of tools/kube")
	data := flags.String("data", "", "directory of the cluster")
	number := flags.Int("network", 0, "second byte of the cluster's addresses")
	cgroup := flags.String("cgroup", "", "control group of the cluster")
	if err := flags.Parse(args); err != nil {
		return 2, errors.New(usage)
	}
	switch {
	case step == "init" && *data != "":
		return 1, initNode(*data, *tools, args)
	case step == "node" && *data != "":
		n := &nodeRunner{network: network(*number), cgroup: *cgroup, group: *group}
		return 1, n.run(ctx, os.Stdin, os.Stdout)
	case step != "run" && step != "serve" || *dir == "":
		return 2, errors.New(usage)
	}
	abs, err := filepath.Abs(*dir)
	if err != nil {
		return 1, err
	}
	c := newCluster(abs, *name, *group)
	if step == "serve" {
		return 0, c.serve(ctx, *tools, os.Stdin, os.Stdout)
	}
	return runWithCluster(ctx, c, flags.Args())
}

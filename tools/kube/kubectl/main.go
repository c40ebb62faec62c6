// Kubectl is a program of its own because tests call it hundreds of times, and
// the one with the servers takes long to start.
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		// Kubectl prints errors itself, and exits by what went wrong.
		util.CheckErr(err)
	}
}

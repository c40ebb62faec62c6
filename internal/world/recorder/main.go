// Recorder is an applier program that only records. Beside an agent it takes
// the place of applier-compose where a test is about the agent and not about
// the engine: renders are the real ones, what would run is written down.
//
// The engine's address is "unix://" and a directory:
//
//	DIR/journal        one line for each task and for each thing fetched
//	DIR/projects/NAME  what runs under a project name, as JSON
//	DIR/content/HEX    what was pulled from the agent's loopback registry
//
// Images are really pulled, and hashed. A service runs and is healthy as soon as
// it is written down, unless its image's reference is listed in DIR/sick.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/consign-dev/consign/internal/apply/compose"
	"github.com/consign-dev/consign/internal/apply/task"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "recorder:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	tasks := map[task.Name]task.Handler{
		task.Apply:   task.Handle(apply),
		task.Observe: task.Handle(observe),
		task.Remove:  task.Handle(remove),
		task.Info:    task.Handle(info),
		task.Prune:   task.Handle(prune),
	}
	if len(args) == 1 && tasks[task.Name(args[0])] != nil {
		return task.Serve(context.Background(), task.Name(args[0]), tasks[task.Name(args[0])], os.Stdin, os.Stdout)
	}
	return compose.Run(context.Background(), args, os.Stdin, os.Stdout)
}

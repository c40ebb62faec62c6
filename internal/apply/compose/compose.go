// Package compose does the tasks of the program applier-compose: it renders a
// Margo Compose component, and makes a Docker engine run what was rendered.
//
// It decides nothing about trust. What it is given was verified by the agent,
// and the render that it applies is the one that the agent checked: it hashes
// the bytes again, reads them without interpreting anything in them, and
// insists that they read back unchanged (internal/composefile).
//
// On the engine it touches only objects of the given project that carry the
// given deployment's label; when a name that it needs belongs to anything else
// it refuses before it changes anything (conflict). Images are pulled by digest
// and looked at before a container is touched, since Compose replaces first and
// fails afterwards. The address of the engine is an input: DOCKER_HOST, Docker
// contexts and ~/.docker mean nothing here.
//
// The trap: Docker's Compose SDK was made for a command line with a user. It
// asks before it deletes a volume whose definition changed (the answer here is
// always no), its own waiting fails for services that end by design and passes
// for containers in a crash loop (settle.go waits instead), and it reads its
// configuration from the home directory (engine.go gives it none).
package compose

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/consign-dev/consign/internal/apply/sandbox"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/fault"
)

// Limits of a render. A request of task.MaxRequest is held in memory a few
// times over (its line, its input, the archive and the files); a render of a
// real component takes 30 MB and a tenth of a second.
var renderLimits = sandbox.Limits{Memory: 512 << 20, CPUSeconds: 20}

// Run does the task that the one argument names, with its request on in and
// its answer on out. For a render it confines the whole process first and for
// good. The error says why no answer was given.
func Run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	tasks := map[task.Name]task.Handler{
		task.Render:   task.Handle(Render),
		task.Apply:    task.Handle(Apply),
		task.Observe:  task.Handle(Observe),
		task.Remove:   task.Handle(Remove),
		task.Info:     task.Handle(Info),
		task.Prune:    task.Handle(Prune),
		task.Snapshot: task.Handle(Snapshot),
		task.Restore:  task.Handle(Restore),
	}
	if len(args) != 1 || tasks[task.Name(args[0])] == nil {
		return fmt.Errorf("usage: applier-compose render|apply|observe|remove|info|prune|snapshot|restore, with a request on standard input (the agent and the publisher start this program)")
	}
	clearEnvironment()
	name := task.Name(args[0])
	if name == task.Render {
		if err := sandbox.Enter(renderLimits); err != nil {
			return task.Refuse(out, err)
		}
	}
	return task.Serve(ctx, name, tasks[name], in, out)
}

// clearEnvironment forgets whatever this program was started with, since the
// libraries below read dozens of variables. What arms a fault stays; it has no
// meaning in an ordinary build.
func clearEnvironment() {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); !strings.HasPrefix(name, faultVariables) {
			_ = os.Unsetenv(name)
		}
	}
}

const faultVariables = "CONSIGN_FAULT"

// step passes the fault point of an engine call.
func step(name string) error { return fault.Point("engine." + name) }

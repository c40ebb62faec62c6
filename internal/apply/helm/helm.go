// Package helm does the tasks of the program applier-helm: it makes the exact
// objects of a Helm chart, and lists the images that a chart names.
//
// Helm's own loader, values and template engine do the work, on bytes in memory
// and without a cluster. What is around them makes a render one that can be
// checked before it is applied (docs/spec/helm.md): the archive is read
// strictly and bounded, a chart that needs to look at a cluster is refused,
// every document becomes JSON once and only that JSON is ever applied, images
// become references by digest, and everything is rendered twice to find what a
// chart makes anew each time.
//
// It decides nothing about trust and nothing about privileges: which objects a
// chart may have is for the policy to say of the render.
//
// The trap: a chart that makes a password makes another one at each upgrade,
// since lookup is not there to find the old one. carry.go puts the values of the
// render before in their places; whoever changes what is volatile there changes
// passwords under running databases.
package helm

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/consign-dev/consign/internal/apply/helm/cluster"
	"github.com/consign-dev/consign/internal/apply/sandbox"
	"github.com/consign-dev/consign/internal/apply/task"
)

// Limits of a render. The request, the chart and two renders are in memory at
// once; a chart of sixty objects takes 38 MB and a third of a second.
var renderLimits = sandbox.Limits{Memory: 512 << 20, CPUSeconds: 20}

// Run does the task that the one argument names, with its request on in and its
// answer on out. For a render it confines the whole process first and for good.
// The error says why no answer was given.
func Run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	tasks := map[task.Name]task.Handler{
		task.Render:   task.Handle(Render),
		task.Images:   task.Handle(Images),
		task.Apply:    task.Handle(cluster.Apply),
		task.Observe:  task.Handle(cluster.Observe),
		task.Remove:   task.Handle(cluster.Remove),
		task.Info:     task.Handle(cluster.Info),
		task.Snapshot: task.Handle(cluster.Snapshot),
		task.Restore:  task.Handle(cluster.Restore),
	}
	if len(args) != 1 || tasks[task.Name(args[0])] == nil {
		return fmt.Errorf("usage: applier-helm render|images|apply|observe|remove|info|snapshot|restore, with a request on standard input (the agent and the publisher start this program)")
	}
	settle()
	name := task.Name(args[0])
	if name == task.Render || name == task.Images {
		if err := sandbox.Enter(renderLimits); err != nil {
			return task.Refuse(out, err)
		}
	}
	return task.Serve(ctx, name, tasks[name], in, out)
}

// settle takes away what differs between machines, and the warnings of libraries,
// which quote values. What arms a fault stays; it has no meaning in an ordinary
// build.
func settle() {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); !strings.HasPrefix(name, "CONSIGN_FAULT") {
			_ = os.Unsetenv(name)
		}
	}
	time.Local = time.UTC
	log.SetOutput(io.Discard)
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
}

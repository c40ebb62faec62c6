package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/internal/verify"
)

// dataTimeout bounds copying the data of one deployment, or putting it back: 70
// GB at the 20 MB/s of a slow disk.
const dataTimeout = time.Hour

// Keeper is an [Applier] that can copy the data of a deployment's volumes and
// put it back. Methods may be called again after an interruption at any point
// and then converge.
type Keeper interface {
	Applier
	// Snapshot stops those of before that have volumes and copies the volumes into
	// dir, which is empty and has room for so many bytes. Where an engine can be told
	// to, it fetches what next needs before. What is copied stays stopped. After an
	// error what ran runs again, unless [Stopped] recognises it.
	Snapshot(ctx context.Context, next *verify.Permit, before []Part, dir string, room int64) ([]Volume, error)
	// RestoreData makes the volumes of a deployment hold what their copies in dir
	// hold, after it has checked the copies. What uses them is stopped, and nothing is
	// started. renders are of the version that wrote the data.
	RestoreData(ctx context.Context, deployment string, renders []verify.Render, dir string, volumes []Volume) error
}

// Stopped reports whether an error of [Keeper.Snapshot] may have left stopped
// what ran: the applier's own failures, and what it says that way.
func Stopped(err error) bool { return reason.Is(err, reason.Internal) }

// Snapshot implements [Keeper].
func (c *Compose) Snapshot(ctx context.Context, next *verify.Permit, before []Part, dir string, room int64) ([]Volume, error) {
	in := SnapshotInput{
		Engine: c.Engine, Deployment: next.Verdict().Order().Deployment().ID,
		Images: images(next), Dir: dir, Room: room, TimeoutSeconds: int(dataTimeout.Seconds()),
	}
	for _, part := range before {
		in.Projects = append(in.Projects, part.Project)
	}
	res, err := c.Program.snapshot(ctx, in)
	return res.Volumes, err
}

// RestoreData implements [Keeper]. As Remove, it needs no verdict: the program
// touches only objects that carry the deployment's label. An image lends the container
// that is never started its root directory.
func (c *Compose) RestoreData(ctx context.Context, deployment string, renders []verify.Render, dir string, volumes []Volume) error {
	images, err := imagesOf(renders)
	if err != nil {
		return err
	}
	_, err = c.Program.restore(ctx, RestoreInput{
		Engine: c.Engine, Deployment: deployment, Images: images, Dir: dir, Volumes: volumes, TimeoutSeconds: int(dataTimeout.Seconds()),
	})
	return err
}

// imagesOf lists the images of rendered Compose projects.
func imagesOf(renders []verify.Render) ([]string, error) {
	var out []string
	for _, r := range renders {
		var doc struct {
			Services map[string]struct {
				Image string `json:"image"`
			} `json:"services"`
		}
		if err := strictjson.UnmarshalOpen(r.Project, &doc, task.RenderLimits); err != nil {
			return nil, fmt.Errorf("read what was applied for component %s: %w", r.Component, err)
		}
		for _, name := range slices.Sorted(maps.Keys(doc.Services)) {
			out = append(out, doc.Services[name].Image)
		}
	}
	return out, nil
}

// Snapshot implements [Keeper]. A cluster fetches the images of next when it starts it.
func (c *Chart) Snapshot(ctx context.Context, next *verify.Permit, before []Part, dir string, room int64) ([]Volume, error) {
	n := slices.IndexFunc(before, func(p Part) bool { return p.Namespace != "" })
	if n < 0 {
		return nil, nil
	}
	res, err := c.Program.snapshotChart(ctx, task.ChartSnapshotInput{
		Kubeconfig: c.Kubeconfig, Namespace: before[n].Namespace, Deployment: next.Verdict().Order().Deployment().ID, Dir: dir, Room: room,
		TimeoutSeconds: int(dataTimeout.Seconds()),
	})
	return res.Volumes, err
}

// RestoreData implements [Keeper], as [Compose.RestoreData] does.
func (c *Chart) RestoreData(ctx context.Context, deployment string, _ []verify.Render, dir string, volumes []Volume) error {
	if len(volumes) == 0 {
		return nil
	}
	_, err := c.Program.restoreChart(ctx, task.ChartRestoreInput{
		Kubeconfig: c.Kubeconfig, Namespace: volumes[0].Project, Deployment: deployment, Dir: dir, Volumes: volumes,
		TimeoutSeconds: int(dataTimeout.Seconds()),
	})
	return err
}

func images(p *verify.Permit) []string {
	var out []string
	for _, part := range p.Components() {
		out = append(out, part.Images...)
	}
	return out
}

package apply

import (
	"context"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// dataTimeout bounds copying the data of one deployment, or putting it back: 70
// GB at the 20 MB/s of a slow disk.
const dataTimeout = time.Hour

// Keeper is an [Applier] that can copy the data of a deployment's volumes and
// put it back. Methods may be called again after an interruption at any point
// and then converge.
type Keeper interface {
	// Snapshot fetches what next needs, stops those of before that have volumes
	// and copies the volumes into dir, which is empty and has room for so many
	// bytes. What is copied stays stopped. After an error what ran runs again,
	// unless [Stopped] recognises it.
	Snapshot(ctx context.Context, next *verify.Permit, before []Part, dir string, room int64) ([]Volume, error)
	// RestoreData makes the volumes of a deployment hold what their copies in dir
	// hold, after it has checked the copies. The containers that use them go, and
	// nothing is started: images only lend a root directory.
	RestoreData(ctx context.Context, deployment string, images []string, dir string, volumes []Volume) error
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
// touches only objects that carry the deployment's label.
func (c *Compose) RestoreData(ctx context.Context, deployment string, images []string, dir string, volumes []Volume) error {
	_, err := c.Program.restore(ctx, RestoreInput{
		Engine: c.Engine, Deployment: deployment, Images: images, Dir: dir, Volumes: volumes, TimeoutSeconds: int(dataTimeout.Seconds()),
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

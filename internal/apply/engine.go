package apply

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
)

// Housekeeper is an [Applier] whose engine keeps images of its own beside the
// content store, which have to be looked at and tidied up separately.
type Housekeeper interface {
	// Info says what the engine is and what of ours it stores. It changes nothing.
	Info(ctx context.Context) (InfoResult, error)
	// Prune removes from the engine what it pulled from this device's registry,
	// except the digests in keep and what any container, running or not, was
	// made from.
	Prune(ctx context.Context, keep []digest.Digest) (PruneResult, error)
}

// pruneTimeout covers removing the layers of several large images from a slow
// disk. What is left then is removed the next time.
const pruneTimeout = 2 * time.Minute

// repository is the name under which the engine knows all images of a device,
// of which [ImageName] adds the digest.
func (c *Compose) repository() string { return c.Registry + imagePath }

// Info implements [Housekeeper].
func (c *Compose) Info(ctx context.Context) (InfoResult, error) {
	return c.Program.info(ctx, task.InfoInput{Engine: c.Engine, Repository: c.repository()})
}

// Prune implements [Housekeeper].
func (c *Compose) Prune(ctx context.Context, keep []digest.Digest) (PruneResult, error) {
	return c.Program.prune(ctx, PruneInput{
		Engine: c.Engine, Repository: c.repository(), Keep: keep, TimeoutSeconds: int(pruneTimeout.Seconds()),
	})
}

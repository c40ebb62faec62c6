package cluster

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"k8s.io/client-go/kubernetes"

	"github.com/consign-dev/consign/internal/apply/copies"
	"github.com/consign-dev/consign/internal/apply/hostdir"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// Snapshot copies the data of a deployment's claims while nothing writes to it, and
// leaves what uses them stopped. Kinds of volumes, users and space are looked at before.
// After an error what was stopped is started again; only one with the reason internal
// may say that this failed, too.
func Snapshot(ctx context.Context, in task.ChartSnapshotInput) (task.SnapshotResult, error) {
	none := task.SnapshotResult{Volumes: []task.Volume{}}
	if in.Deployment == "" || in.Namespace == "" || in.TimeoutSeconds <= 0 || !filepath.IsAbs(in.Dir) {
		return none, reason.New(reason.Malformed, "snapshot: deployment, namespace, an absolute dir and timeoutSeconds are required")
	}
	limited, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	o := owner{namespace: in.Namespace, deployment: in.Deployment}
	c, client, err := reachData(limited, in.Kubeconfig, o)
	if err != nil {
		return none, err
	}
	claims, err := hold(limited, client, o, in.Dir, func(string) bool { return true })
	if err != nil || len(claims) == 0 {
		return none, err
	}
	defer closeAll(claims)
	halts, err := c.mayCopy(limited, client, o, in, claims)
	if err != nil {
		return none, err
	}
	stopped, err := c.halt(limited, client, o, halts, claims)
	var volumes []task.Volume
	if err == nil {
		err = undisturbed(limited, client, o, claims, func() error {
			volumes, err = copyOut(limited, in, claims)
			return err
		})
	}
	if err != nil {
		return none, c.startAgain(ctx, o, stopped, tooLate(limited, err))
	}
	return task.SnapshotResult{Volumes: volumes}, nil
}

// reachData connects to the cluster of this machine.
func reachData(ctx context.Context, kubeconfig string, o owner) (*cluster, kubernetes.Interface, error) {
	c, err := connect(ctx, kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return nil, nil, err
	}
	if err := c.onThisMachine(ctx, client); err != nil {
		return nil, nil, err
	}
	return c, client, c.checkNamespace(ctx, o)
}

// mayCopy refuses, before anything is stopped, what cannot be copied, or not be put
// back, and returns what has to be stopped for it.
func (c *cluster) mayCopy(ctx context.Context, client kubernetes.Interface, o owner, in task.ChartSnapshotInput, claims []held) ([]halt, error) {
	u, err := c.users(ctx, client, o, claims)
	if err != nil {
		return nil, err
	}
	if len(u.other) > 0 {
		return nil, rule("%s runs and uses a claim of the deployment, and cannot be stopped for a copy and started again: "+
			"a Deployment, StatefulSet, DaemonSet, ReplicaSet or CronJob can", u.other[0].name())
	}
	var need int64
	for _, h := range claims {
		size, err := h.Measure(ctx)
		if err != nil {
			return nil, claimError(h.claim.Name, err)
		}
		need += size
	}
	return u.halts, copies.Enough(need, in.Room, len(claims), in.Dir)
}

// copyOut copies each volume into a file of its own and notes what it holds.
func copyOut(ctx context.Context, in task.ChartSnapshotInput, claims []held) ([]task.Volume, error) {
	var out []task.Volume
	room := in.Room
	for n, h := range claims {
		v := h.copyOf()
		v.File = copies.FileName(n)
		if err := step("copy"); err != nil {
			return nil, err
		}
		err := archived(ctx, h.Dir, func(archive io.Reader) error { return copies.Save(archive, in.Dir, room, &v) })
		if err != nil {
			return nil, claimError(h.claim.Name, err)
		}
		room -= v.Size
		out = append(out, v)
	}
	return out, nil
}

// archived gives the archive of a directory to somebody who reads it.
func archived(ctx context.Context, dir *hostdir.Dir, read func(archive io.Reader) error) error {
	from, to := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = to.CloseWithError(dir.Archive(ctx, to))
	}()
	err := read(from)
	_ = from.CloseWithError(io.ErrClosedPipe)
	<-done // the directory is not read any more
	return err
}

// contentOf is what a directory holds, as a copy of it would say.
func contentOf(ctx context.Context, dir *hostdir.Dir) (sum digest.Digest, err error) {
	err = archived(ctx, dir, func(archive io.Reader) error {
		sum, err = copies.Content(archive)
		return err
	})
	return sum, err
}

// tooLate says of an error that the time was over, if it was.
func tooLate(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("the time allowed for the data is over: %w", err)
	}
	return err
}

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/consign-dev/consign/internal/apply/copies"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// Restore makes the volumes of claims hold what their copies hold. The copies are read
// whole, and claims, volumes and users are looked at, before anything is changed; then
// what uses the claims is stopped, and each volume is emptied, filled and read back.
// After an error the volumes are as far as it came, and the next Restore of the same
// copies converges.
func Restore(ctx context.Context, in task.ChartRestoreInput) (task.RestoreResult, error) {
	o := owner{namespace: in.Namespace, deployment: in.Deployment}
	if err := checkCopies(in, o); err != nil || len(in.Volumes) == 0 {
		return task.RestoreResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	c, client, err := reachData(ctx, in.Kubeconfig, o)
	if err != nil {
		return task.RestoreResult{}, err
	}
	copied := func(claim string) bool {
		return slices.ContainsFunc(in.Volumes, func(v task.Volume) bool { return v.Name == claim })
	}
	all, err := hold(ctx, client, o, in.Dir, copied)
	if err != nil {
		return task.RestoreResult{}, err
	}
	defer closeAll(all)
	claims, err := claimsOf(in.Volumes, all)
	if err != nil {
		return task.RestoreResult{}, err
	}
	if err := c.stopUsers(ctx, client, o, claims); err != nil {
		return task.RestoreResult{}, tooLate(ctx, err)
	}
	err = undisturbed(ctx, client, o, claims, func() error {
		for n, h := range claims {
			if err := h.refill(ctx, in.Dir, in.Volumes[n]); err != nil {
				return claimError(h.claim.Name, err)
			}
		}
		return nil
	})
	return task.RestoreResult{}, tooLate(ctx, err)
}

// checkCopies reads each copy and compares it with what was recorded when it was made.
func checkCopies(in task.ChartRestoreInput, o owner) error {
	if in.Deployment == "" || in.Namespace == "" || in.TimeoutSeconds <= 0 || !filepath.IsAbs(in.Dir) {
		return reason.New(reason.Malformed, "restore: deployment, namespace, an absolute dir and timeoutSeconds are required")
	}
	for _, v := range in.Volumes {
		if v.Project != o.namespace || v.Labels[task.LabelDeployment] != o.deployment || v.Name == "" || !copies.Named(v.File) {
			return reason.New(reason.Malformed, "restore: claim %q of file %q is not of deployment %s in %s", v.Name, v.File, in.Deployment, in.Namespace)
		}
		if err := copies.Check(in.Dir, v); err != nil {
			return claimError(v.Name, err)
		}
	}
	return nil
}

// claimsOf finds the claim of each copy.
func claimsOf(volumes []task.Volume, all []held) ([]held, error) {
	var out []held
	for _, v := range volumes {
		n := slices.IndexFunc(all, func(h held) bool { return h.claim.Name == v.Name })
		if n < 0 {
			return nil, conflict("PersistentVolumeClaim/%s, whose data is to be put back, is not there any more or has no volume: "+
				"make it again, or take the deployment away with its data", v.Name)
		}
		out = append(out, all[n])
	}
	return out, nil
}

// stopUsers halts what uses the claims, and removes what cannot be halted: nothing of
// it is to stay, and what belongs there is made again by the apply that follows.
func (c *cluster) stopUsers(ctx context.Context, client kubernetes.Interface, o owner, claims []held) error {
	u, err := c.users(ctx, client, o, claims)
	if err != nil {
		return err
	}
	for _, r := range u.other {
		if err := c.delete(ctx, r); err != nil {
			return err
		}
	}
	_, err = c.halt(ctx, client, o, u.halts, claims)
	return err
}

// refill replaces what is in one volume by what is in its copy.
func (h held) refill(ctx context.Context, dir string, v task.Volume) error {
	if err := step("empty"); err != nil {
		return err
	}
	if err := h.Empty(ctx); err != nil {
		return err
	}
	if err := step("fill"); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(dir, v.File))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := errors.Join(h.Fill(ctx, f), h.Settle()); err != nil {
		return copies.FullDisk(err)
	}
	got, err := contentOf(ctx, h.Dir)
	if err == nil && got != v.Content {
		err = reason.New(reason.DigestMismatch, "the volume does not hold what was copied")
	}
	return err
}

package compose

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"

	"github.com/consign-dev/consign/internal/reason"
)

const (
	// pollInterval is how often containers are looked at while they start.
	pollInterval = 250 * time.Millisecond
	// steadyPolls is how often in a row a container without a health check must
	// be seen running: 5 seconds, in which a program that cannot start has ended
	// and been restarted several times.
	steadyPolls = 20
)

// settle waits until every container of the owner is as it should be:
//
//   - with a health check: healthy;
//   - without: running for a while without a restart, or ended with exit code 0
//     if nothing restarts it by design (a one-shot service).
//
// A container that exits otherwise, is restarted or becomes unhealthy fails
// the start at once, as Margo demands of a non-zero exit during start-up.
// before are the containers from before the start: what ran then and still
// does needs no second look, and restarts of long ago do not count.
func (e *engine) settle(ctx context.Context, o owner, before map[string]container.InspectResponse) error {
	w := watch{before: before, running: map[string]int{}}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if err := step("settle"); err != nil {
			return err
		}
		now, err := e.inspectAll(ctx, o)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			waiting, err := w.look(now)
			if err != nil || len(waiting) == 0 {
				return err
			}
			w.waiting = waiting
		}
		select {
		case <-ctx.Done():
			return reason.New(reason.Health, "not healthy in the time allowed for the component: %s", w.last())
		case <-ticker.C:
		}
	}
}

// watch remembers what was seen of starting containers.
type watch struct {
	before  map[string]container.InspectResponse
	running map[string]int // id -> polls in a row that saw it running
	waiting []string       // what the last look was waiting for
}

// last says what was waited for when the time was over.
func (w *watch) last() string {
	if len(w.waiting) == 0 {
		return "starting its containers took all of it"
	}
	return strings.Join(w.waiting, ", ")
}

// look returns what is not settled yet, or why it never will be.
func (w *watch) look(now map[string]container.InspectResponse) (waiting []string, err error) {
	for id, c := range now {
		settled, err := w.judge(id, c)
		if err != nil {
			return nil, reason.New(reason.Health, "service %s: container %s %w", c.Config.Labels[api.ServiceLabel], containerName(c), err)
		}
		if !settled {
			waiting = append(waiting, fmt.Sprintf("%s is %s", c.Config.Labels[api.ServiceLabel], stateOf(c)))
		}
	}
	return waiting, nil
}

func (w *watch) judge(id string, c container.InspectResponse) (settled bool, err error) {
	if c.RestartCount > w.before[id].RestartCount || c.State.Restarting {
		return false, fmt.Errorf("does not stay up: it ended with exit code %d and was restarted", c.State.ExitCode)
	}
	switch c.State.Status {
	case container.StateRunning:
		if hasHealthCheck(c) {
			return healthy(c)
		}
		if old, ok := w.before[id]; ok && old.State.StartedAt == c.State.StartedAt {
			return true, nil
		}
		w.running[id]++
		return w.running[id] >= steadyPolls, nil
	case container.StateExited:
		if c.State.ExitCode != 0 {
			return false, fmt.Errorf("exited with code %d", c.State.ExitCode)
		}
		if !oneShot(c) {
			return false, fmt.Errorf("exited, and its restart policy is to run always")
		}
		return true, nil
	case container.StateDead, container.StateRemoving:
		return false, fmt.Errorf("is %s: %s", c.State.Status, c.State.Error)
	default:
		w.running[id] = 0
		return false, nil
	}
}

func hasHealthCheck(c container.InspectResponse) bool {
	h := c.Config.Healthcheck
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}

func healthy(c container.InspectResponse) (bool, error) {
	if c.State.Health == nil {
		return false, nil
	}
	if c.State.Health.Status == container.Unhealthy {
		return false, fmt.Errorf("is unhealthy: its health check failed %d times in a row", c.State.Health.FailingStreak)
	}
	return c.State.Health.Status == container.Healthy, nil
}

// oneShot reports whether a container may end well: nothing restarts it then.
func oneShot(c container.InspectResponse) bool {
	policy := c.HostConfig.RestartPolicy
	return policy.IsNone() || policy.IsOnFailure()
}

func stateOf(c container.InspectResponse) string {
	if c.State.Health != nil && c.State.Status == container.StateRunning {
		return string(c.State.Status) + ", health " + string(c.State.Health.Status)
	}
	return string(c.State.Status)
}

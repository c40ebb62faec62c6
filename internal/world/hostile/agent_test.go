package hostile_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/world"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// cycles is the path of a device that reads what is in a repository: in each row
// one that has not asked yet, since what was verified is not asked for again, and
// after them the one of the last row.
func (s *scene) cycles(t *testing.T, from *world.Device, on hostile.Class, in string) path {
	t.Helper()
	d, group := from, t
	return path{
		on: on,
		attacked: func(t *testing.T, r row, on hostile.Class) {
			d = from.Again(group)
			s.endure(t, hostile.Attack{On: on, In: in, How: r.how}, r.want, r.limits, func(l oci.Limits) error {
				d.Limits = l
				err := fetch(d)
				untouched(t, d, err)
				return err
			})
		},
		good: func(t *testing.T) {
			d.Limits = oci.Limits{}
			if err := fetch(d); err != nil {
				t.Error(err)
			}
		},
	}
}

// TestHostilePull: a device fetches a bundle.
func TestHostilePull(t *testing.T) {
	s := newScene(t)
	s.walk(t, func(t *testing.T) path { return s.cycles(t, s.device, hostile.Bodies, "acme/hello") })
}

// renew gives both channels something new.
func (s *scene) renew() {
	s.T.Helper()
	_, err := s.Party("plant").RefreshChannel(s.Context(), s.Deployments, channel.KindDeployments)
	s.Must(err)
	_, err = s.Party("acme").RefreshChannel(s.Context(), s.Releases, channel.KindReleases)
	s.Must(err)
}

// TestHostileRefresh: a device that has everything reads both channels, which have
// something new, one attacked in every other group.
func TestHostileRefresh(t *testing.T) {
	s := newScene(t)
	d := s.device.Again(t)
	s.Must(fetch(d))
	s.renew()
	n := 0
	s.walk(t, func(t *testing.T) path {
		n++
		return s.cycles(t, d, hostile.Reads, []string{"plant/deployments", "acme/releases"}[n%2])
	})
}

// TestHostileRun: the cycles of "agent run" go on through each attack, and the
// first one after it does its work.
func TestHostileRun(t *testing.T) {
	s := newScene(t)
	for _, r := range []row{
		waiting[0], waiting[4], endless[0], endless[4], lies[8], answers[1], answers[4], elsewhere(s.elsewhere.URL)[1],
	} {
		t.Run(r.name, func(t *testing.T) {
			s.T = t
			d := s.device.Again(t)
			d.Config.PollInterval, d.Config.ObserveInterval, d.Limits = "50ms", "10m", patient(r.limits)
			d.Config.Engine = noEngine
			s.run(t, d, r)
		})
	}
}

// patient limits let an honest cycle through on a busy machine, if not the first.
func patient(l oci.Limits) oci.Limits {
	if l.HeaderTimeout > 0 {
		l.HeaderTimeout, l.RateWindow = time.Second, time.Second
	}
	return l
}

func (s *scene) run(t *testing.T, d *world.Device, r row) {
	t.Helper()
	ctx, stop := context.WithTimeout(s.Context(), prompt)
	defer stop()
	var cycles atomic.Int64
	s.front.Begin(hostile.Attack{On: r.on & hostile.Bodies, How: r.how})
	err := d.Run(ctx, func(_ *agent.Result, err error) {
		switch n := cycles.Add(1); {
		case n <= 3 && !oneOf(err, r.want):
			t.Errorf("cycle %d: error %v, want one of %q", n, err, r.want)
			stop()
		case n == 3:
			s.toll = s.front.Relent()
		case n > 3 && err == nil: // the orders were followed, up to the engine that is not there
			stop()
		}
	})
	s.front.Relent()
	if err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("%d cycles: %v, %v", cycles.Load(), err, ctx.Err())
	}
	kinds := d.Events()
	if n := count(kinds, "refused"); n > 1 {
		t.Errorf("the same refusal was logged %d times: %q", n, kinds)
	}
	if count(kinds, "refreshed") != 2 || count(kinds, "intent") == 0 {
		t.Errorf("after the attack the orders were not followed: %q", kinds)
	}
}

func count(kinds []string, prefix string) int {
	n := 0
	for _, k := range kinds {
		if strings.HasPrefix(k, prefix) {
			n++
		}
	}
	return n
}

package hostile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// TestAttackT8SlowRetrieval: a byte at a time, just under each limit, and each
// limit used up one after the other.
func TestAttackT8SlowRetrieval(t *testing.T) {
	s := newScene(t)
	hops := oci.Limits{HeaderTimeout: 30 * time.Second, RequestTimeout: time.Second}
	for _, tt := range []struct {
		name   string
		on     hostile.Class
		in     string
		how    hostile.Behaviour
		limits oci.Limits
	}{
		{"a byte at a time", hostile.Blob, "", hostile.DripsBody, short},
		{"a manifest a byte at a time", hostile.Manifest, "", hostile.DripsBody, short},
		{"a header a byte at a time", hostile.Blob, "", hostile.DripsHeader, short},
		{"just under the rate", hostile.Blob, "", hostile.Paced(100*time.Millisecond, 300), short},
		{"fast enough, and too long", hostile.Blob, s.layer(), hostile.Paced(50*time.Millisecond, 300), oci.Limits{ObjectTimeout: 600 * time.Millisecond}},
		// Each step is in time; five of them are not.
		{"redirects that are each in time", hostile.Blob, "", hostile.Late(500*time.Millisecond, hostile.EndlessRedirects), hops},
		{"a token a byte at a time", hostile.Bodies, "", hostile.Late(0, s.slowToken()), short},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.T = t
			d := s.device.Again(t)
			s.endure(t, hostile.Attack{On: tt.on | hostile.Other, In: tt.in, How: tt.how}, slow, tt.limits, func(l oci.Limits) error {
				d.Limits = l
				err := fetch(d)
				untouched(t, d, err)
				return err
			})
		})
	}
}

// slowToken asks for a token of the registry itself, which comes slowly.
func (s *scene) slowToken() hostile.Behaviour {
	ask := hostile.Asks(`Bearer realm="http://` + s.Host + `/token",service="x"`)
	return func(x hostile.Exchange) {
		if x.Req.URL.Path == "/token" {
			hostile.DripsToken(x)
			return
		}
		ask(x)
	}
}

// TestAttackT8SlowErrors: the text of an error comes slowly, while an object is
// asked for that may take hours.
func TestAttackT8SlowErrors(t *testing.T) {
	s := newScene(t)
	repo, err := s.ClientWith(short).Repository(s.Host + "/acme/hello")
	s.Must(err)
	large := describe([]byte("x"))
	large.Size = 1 << 40
	s.suffer(t, hostile.Attack{On: hostile.Blob, How: hostile.DripsError}, unreachable, func() error {
		rc, err := repo.Blob(s.Context(), large, 0)
		if err == nil {
			err = rc.Close()
		}
		return err
	})
}

// TestAttackT8SlowBeginning: redirects that are each in time use up no more than
// the time in which an answer must begin, however large the object is.
func TestAttackT8SlowBeginning(t *testing.T) {
	s := newScene(t)
	large := describe([]byte("x"))
	large.Size = 1 << 40
	limits := oci.Limits{HeaderTimeout: 30 * time.Second, RequestTimeout: time.Second}
	s.endure(t, hostile.Attack{On: hostile.Blob, How: hostile.Late(500*time.Millisecond, hostile.EndlessRedirects)}, slow, limits, func(l oci.Limits) error {
		repo, err := s.ClientWith(l).Repository(s.Host + "/acme/hello")
		s.Must(err)
		rc, err := repo.Blob(s.Context(), large, 0)
		if err == nil {
			err = rc.Close()
		}
		return err
	})
}

// TestAttackT8ResumeKeepsProgress: what came before a source was given up is not
// asked for again.
func TestAttackT8ResumeKeepsProgress(t *testing.T) {
	s := newScene(t)
	// On a busy machine another answer can be too slow before the one that stalls.
	for range 10 {
		if s.resumes(t) {
			return
		}
	}
	t.Error("the next cycle began anew, ten times")
}

// resumes stalls a device's fetch and reports whether its next cycle goes on from
// what came.
func (s *scene) resumes(t *testing.T) bool {
	d := s.device.Again(t)
	s.endure(t, hostile.Attack{On: hostile.Blob, In: s.layer(), How: hostile.StallsInBody}, slow, short, func(l oci.Limits) error {
		d.Limits = l
		return fetch(d)
	})
	d.Limits = oci.Limits{}
	s.front.Begin(hostile.Attack{On: hostile.Other, How: hostile.Closes})
	s.Must(fetch(d))
	return slices.ContainsFunc(s.front.Relent().Requests, func(r string) bool { return strings.Contains(r, " bytes=") })
}

package hostile_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// order signs a new order for a device that no other test looks at.
func (s *scene) order(device string, l oci.Limits, greeting string) error {
	p := s.Party("plant")
	p.Client = s.client(l)
	_, err := p.Deploy(s.Context(), publish.DeployInput{
		Channel: s.Deployments, Application: "hello", Version: "1.0.0", Device: device, Values: map[string]string{"greeting": greeting},
	})
	return err
}

// writing are the reasons for which a writer gives up where a reader would for
// the first: it meets the same lie at another place, or after it has written.
var writing = map[reason.Code][]reason.Code{
	reason.Unreachable:    {reason.Conflict, reason.DigestMismatch},
	reason.DigestMismatch: {reason.Unreachable},
}

func (r row) forWriters() []reason.Code {
	out := r.want
	for _, c := range r.want {
		out = append(out[:len(out):len(out)], writing[c]...)
	}
	return out
}

// TestHostileDeploy: an operator's channel is read, changed and read back.
func TestHostileDeploy(t *testing.T) {
	s := newScene(t)
	d := s.Device("press-08", noEngine)
	n := 0
	s.walk(t, func(t *testing.T) path {
		return path{
			on: hostile.Every, most: 2,
			attacked: func(t *testing.T, r row, on hostile.Class) {
				n++
				s.endure(t, hostile.Attack{On: on, In: "plant/deployments", How: r.how}, r.forWriters(), r.limits, func(l oci.Limits) error {
					return s.order(d.ID, l, fmt.Sprint("attacked ", n))
				})
			},
			good: func(t *testing.T) {
				s.Must(s.order(d.ID, oci.Limits{}, fmt.Sprint("good ", n)))
				if err := fetch(d); err != nil {
					t.Error(err)
				}
			},
		}
	})
}

// copier copies acme's channel from a registry.
func (s *scene) copier(from, to publish.Place) error {
	_, err := s.Copy("acme", publish.CopyInput{From: from, To: to})
	return err
}

// TestHostileCopySource: a channel is copied out of a hostile registry.
func TestHostileCopySource(t *testing.T) {
	s := newScene(t)
	s.walk(t, func(t *testing.T) path {
		client, err := oci.NewDirectoryWriter(filepath.Join(t.TempDir(), "copy"), oci.Options{})
		s.Must(err)
		t.Cleanup(func() { _ = client.Close() })
		to := publish.Place{Client: client, Repository: s.Releases, Local: true}
		return path{
			on: hostile.Reads, most: 2,
			attacked: func(t *testing.T, r row, on hostile.Class) {
				s.endure(t, hostile.Attack{On: on, How: r.how}, r.want, r.limits, func(l oci.Limits) error {
					return s.copier(publish.Place{Client: s.client(l), Repository: s.Releases}, to)
				})
			},
			good: func(t *testing.T) { s.Must(s.copier(s.Registry(s.Releases), to)) },
		}
	})
}

// TestHostileCopyTarget: a channel is copied into a hostile registry.
func TestHostileCopyTarget(t *testing.T) {
	s := newScene(t)
	source := publish.Place{Client: s.ClientWith(oci.Limits{}), Repository: s.Releases}
	n := 0
	s.walk(t, func(t *testing.T) path {
		var mirror string
		to := func(l oci.Limits) publish.Place {
			return publish.Place{Client: s.client(l), Repository: s.Host + "/" + mirror + "/releases"}
		}
		return path{
			on: hostile.Every, most: 2,
			attacked: func(t *testing.T, r row, on hostile.Class) {
				n++
				mirror = fmt.Sprint("mirror-", n)
				s.endure(t, hostile.Attack{On: on, In: mirror + "/", How: r.how}, r.forWriters(), r.limits, func(l oci.Limits) error {
					return s.copier(source, to(l))
				})
			},
			good: func(t *testing.T) { s.Must(s.copier(source, to(oci.Limits{}))) },
		}
	})
}

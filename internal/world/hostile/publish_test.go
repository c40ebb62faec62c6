package hostile_test

import (
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// TestHostilePublish: a release is pushed, read back and listed. Nothing is listed
// before all of it is there.
func TestHostilePublish(t *testing.T) {
	s := newScene(t)
	layout, err := oci.CreateLayout(filepath.Join(t.TempDir(), "layout"))
	s.Must(err)
	packed, err := pack.Pack(s.Context(), s.PackOptions(s.Package("1.1.0", nil), layout))
	s.Must(err)
	release := func(l oci.Limits) error {
		p := s.Party("acme")
		p.Client = s.client(l)
		_, err := p.Publish(s.Context(), publish.PublishInput{Channel: s.Releases, Layout: layout, Packed: packed, SigningKey: p.Keys.SigningKey()})
		return err
	}
	before, _ := s.Head(s.Releases)
	// In the order of a push, so that what an attack lets through leaves something
	// to do for the next ones.
	for _, class := range []hostile.Class{hostile.Look, hostile.Begin, hostile.Send, hostile.PutManifest, hostile.Manifest, hostile.Blob} {
		for _, r := range []row{
			waiting[0], waiting[1], waiting[3], endless[0], endless[3], lies[7], lies[8], answers[0], answers[1], answers[4], answers[7],
			writes(s.elsewhere.URL)[0], writes(s.elsewhere.URL)[1], writes(s.elsewhere.URL)[5], writes(s.elsewhere.URL)[6],
		} {
			if r.on&class == 0 {
				continue
			}
			t.Run(r.name+"/"+class.String(), func(t *testing.T) {
				s.T = t
				s.endure(t, hostile.Attack{On: class, In: "acme/hello", How: r.how}, r.forWriters(), r.limits, release)
				if now, _ := s.Head(s.Releases); now.Digest != before.Digest {
					t.Error("the channel lists something new")
				}
			})
			s.T = t
		}
	}
	s.Must(release(oci.Limits{}))
	if now, _ := s.Head(s.Releases); now.Digest == before.Digest {
		t.Error("from a good registry nothing was listed")
	}
}

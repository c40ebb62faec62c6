package compose

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// pulled makes the engine have an image of its own in a repository. The library
// that pushes it allows no name of one letter, so "cc" stands for the agent's "c".
func (s *site) pulled(repository, source string) string {
	s.t.Helper()
	ref := s.imageIn(repository, source)
	response, err := s.docker.ImagePull(s.t.Context(), ref, client.ImagePullOptions{})
	if err == nil {
		err = response.Wait(s.t.Context())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return ref
}

func (s *site) tag(ref, name string) {
	s.t.Helper()
	if _, err := s.docker.ImageTag(s.t.Context(), client.ImageTagOptions{Source: ref, Target: name}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _, _ = s.docker.ImageRemove(context.Background(), name, client.ImageRemoveOptions{}) })
}

func (s *site) has(name string) bool {
	s.t.Helper()
	_, err := s.docker.ImageInspect(s.t.Context(), name)
	if err != nil && !errdefs.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

func digestOf(ref string) digest.Digest {
	_, d, _ := strings.Cut(ref, "@")
	return digest.Digest(d)
}

// What goes are our references that nobody needs; other people's names stay,
// also those of an image that is ours, too.
func TestPruneTouchesOnlyWhatIsOursAndUnused(t *testing.T) {
	s := newSite(t)
	kept, unused, tagged := s.pulled("cc", "kept"), s.pulled("cc", "unused"), s.pulled("cc", "tagged")
	own, underOurs := "consign-test/"+s.deployment+":1", s.registry+"/cc:theirs"
	s.tag(tagged, own)
	s.tag(s.pulled("app", "foreign"), underOurs)
	used := s.imageIn("cc", "used")
	s.mustApply(s.render("services: {once: {image: used, command: [exit, '0'], restart: 'no'}}", nil))

	in := task.PruneInput{Engine: s.engine, Repository: s.registry + "/cc", Keep: []digest.Digest{digestOf(kept), digest.FromString("none")}, TimeoutSeconds: 60}
	before := s.info()
	if before.Images != 4 || before.ImageBytes <= 0 {
		t.Errorf("%d images of %d bytes are ours, want 4", before.Images, before.ImageBytes)
	}
	out, err := Prune(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{unused, tagged}
	slices.Sort(want)
	if !slices.Equal(out.Images, want) || out.Bytes <= 0 || out.Bytes >= before.ImageBytes {
		t.Errorf("pruned %+v of %d bytes, want %q", out, before.ImageBytes, want)
	}
	for name, want := range map[string]bool{kept: true, used: true, s.images["foreign"]: true, own: true, underOurs: true, unused: false, tagged: false} {
		if s.has(name) != want {
			t.Errorf("%s is there: %t, want %t", name, !want, want)
		}
	}
	if again, err := Prune(t.Context(), in); err != nil || len(again.Images) != 0 {
		t.Errorf("pruned again: %+v, %v", again, err)
	}
	if after := s.info(); after.Images != 2 {
		t.Errorf("%d images are ours afterwards, want 2", after.Images)
	}
}

func (s *site) info() task.InfoResult {
	s.t.Helper()
	out, err := Info(s.t.Context(), task.InfoInput{Engine: s.engine, Repository: s.registry + "/cc"})
	if err != nil {
		s.t.Fatal(err)
	}
	if out.Version == "" || out.APIVersion == "" || out.Driver == "" || out.DataRoot == "" {
		s.t.Errorf("the engine is described by %+v", out)
	}
	return out
}

// A name that could be anybody's, and digests that are none, are refused before
// the engine is asked.
func TestPruneIsForOurRegistryOnly(t *testing.T) {
	for _, repository := range []string{"", "c", "127.0.0.1:5127", "docker.io/library/debian", "127.0.0.1:5127/c@sha256:", "127.0.0.1:5127/c/", "127.0.0.1.example:1/c", "localhost:5127/c"} {
		_, err := Prune(t.Context(), task.PruneInput{Engine: "unix:///nonexistent", Repository: repository, TimeoutSeconds: 1})
		if !reason.Is(err, reason.Malformed) {
			t.Errorf("%q: %v", repository, err)
		}
		if _, err := Info(t.Context(), task.InfoInput{Engine: "unix:///nonexistent", Repository: repository}); !reason.Is(err, reason.Malformed) {
			t.Errorf("info of %q: %v", repository, err)
		}
	}
	_, err := Prune(t.Context(), task.PruneInput{Engine: "unix:///nonexistent", Repository: "127.0.0.1:1/c", Keep: []digest.Digest{"sha256:short"}, TimeoutSeconds: 1})
	if !reason.Is(err, reason.Malformed) {
		t.Errorf("keep: %v", err)
	}
}

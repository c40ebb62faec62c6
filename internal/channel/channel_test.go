package channel_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
)

var (
	ctx = context.Background()
	now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

	_ channel.Writer = (*oci.Repository)(nil)
)

// publisher writes one channel into a real registry.
type publisher struct {
	t        testing.TB
	repo     *oci.Repository
	keys     tufrepo.Keys
	tuf      *tufrepo.Repo
	previous digest.Digest
	files    map[string][]byte
}

func newRegistry(t testing.TB, wrap func(http.Handler) http.Handler) *oci.Repository {
	t.Helper()
	reg, err := oci.NewRegistry(oci.RegistryOptions{Dir: t.TempDir(), CollectEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler = reg
	if wrap != nil {
		h = wrap(h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		_ = reg.Close(ctx)
	})
	client, err := oci.NewClient(oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := client.Repository(strings.TrimPrefix(server.URL, "http://") + "/acme/releases")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func newPublisher(t testing.TB, repo *oci.Repository) *publisher {
	t.Helper()
	p := &publisher{t: t, repo: repo, keys: tufrepo.Keys{}}
	for _, role := range tufrepo.Roles(channel.KindDeployments) {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p.keys[role] = []crypto.Signer{k}
	}
	var err error
	if p.tuf, err = tufrepo.Create(channel.KindDeployments, p.keys, nil, now); err != nil {
		t.Fatal(err)
	}
	return p
}

// sign makes the next state: the policy says text.
func (p *publisher) sign(text string) {
	p.t.Helper()
	err := p.tuf.SetTarget(tufrepo.Targets, channel.PolicyTarget, tufrepo.Target{Digest: digest.FromString(text), Length: int64(len(text))})
	if err != nil {
		p.t.Fatal(err)
	}
	if p.files, err = p.tuf.Sign(p.keys, now); err != nil {
		p.t.Fatal(err)
	}
}

func (p *publisher) input() channel.CommitInput {
	return channel.CommitInput{Files: p.files, Previous: p.previous, Version: p.tuf.Versions()["timestamp"]}
}

func (p *publisher) publish(text string) {
	p.t.Helper()
	p.sign(text)
	d, err := channel.Commit(ctx, p.repo, p.input())
	if err != nil {
		p.t.Fatal(err)
	}
	p.previous = d
}

func (p *publisher) reader() *tufclient.Client {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "s")
	if err := tufclient.Init(dir, p.files["1.root.json"], p.tuf.Identity()); err != nil {
		p.t.Fatal(err)
	}
	c, err := tufclient.Open(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *publisher) mustSee(c *tufclient.Client, text string) {
	p.t.Helper()
	m, d, err := channel.Refresh(ctx, p.repo, c, now, channel.PolicyTarget)
	if err != nil {
		p.t.Fatal(err)
	}
	if target, err := m.Target(channel.PolicyTarget); err != nil || target.Digest != digest.FromString(text) {
		p.t.Errorf("policy %+v, %v; want %q", target, err, text)
	}
	if head, err := channel.Head(ctx, p.repo); err != nil || head != d {
		p.t.Errorf("head %s, %v; refreshed from %s", head, err, d)
	}
}

func TestCommitAndRefreshThroughARegistry(t *testing.T) {
	p := newPublisher(t, newRegistry(t, nil))
	p.publish("one")
	c := p.reader()
	p.mustSee(c, "one")
	p.publish("two")
	p.mustSee(c, "two")

	// A refresh of the timestamp alone is a commit, too.
	p.publish("two")
	p.mustSee(c, "two")
	if v := p.tuf.Versions(); v["timestamp"] != 3 || v["targets"] != 2 {
		t.Errorf("versions %v", v)
	}
}

func TestCommitAgainChangesNothing(t *testing.T) {
	p := newPublisher(t, newRegistry(t, nil))
	p.publish("one")
	before := p.previous
	p.previous = ""
	d, err := channel.Commit(ctx, p.repo, p.input())
	if err != nil || d != before {
		t.Errorf("%s, %v; want %s", d, err, before)
	}
}

func TestTheSecondOfTwoWritersIsAConflict(t *testing.T) {
	p := newPublisher(t, newRegistry(t, nil))
	p.publish("one")
	base := p.previous
	p.publish("two")
	two := p.previous
	p.sign("three")
	p.previous = base
	if _, err := channel.Commit(ctx, p.repo, p.input()); !reason.Is(err, reason.Conflict) {
		t.Errorf("%v", err)
	}
	p.previous = ""
	if _, err := channel.Commit(ctx, p.repo, p.input()); !reason.Is(err, reason.Conflict) {
		t.Errorf("a first commit over an existing channel: %v", err)
	}
	if head, err := channel.Head(ctx, p.repo); err != nil || head != two {
		t.Errorf("head %s, %v", head, err)
	}
}

// racer lets a second writer commit at the last moment: between the look at the
// tag and its move.
type racer struct {
	*oci.Repository
	race func()
}

func (r *racer) Tag(ctx context.Context, desc ocispec.Descriptor, data []byte, tag string, ifMatch digest.Digest) error {
	if tag == channel.Tag && r.race != nil {
		race := r.race
		r.race = nil
		race()
	}
	return r.Repository.Tag(ctx, desc, data, tag, ifMatch)
}

func TestARaceIsSettledByTheRegistry(t *testing.T) {
	for _, first := range []bool{true, false} {
		p := newPublisher(t, newRegistry(t, nil))
		if !first {
			p.publish("one")
		}
		p.sign("mine")
		mine := p.input()
		p.sign("theirs")
		theirs := p.input()
		var winner digest.Digest
		_, err := channel.Commit(ctx, &racer{p.repo, func() {
			var err error
			if winner, err = channel.Commit(ctx, p.repo, theirs); err != nil {
				t.Error(err)
			}
		}}, mine)
		if !reason.Is(err, reason.Conflict) {
			t.Errorf("the loser: %v", err)
		}
		if head, err := channel.Head(ctx, p.repo); err != nil || head != winner {
			t.Errorf("head %s, %v; want %s", head, err, winner)
		}
	}
}

// A registry that ignores If-Match lets the later one win; the reading back
// tells whoever was overwritten while writing.
func TestARaceWithoutIfMatchIsSeenByReadingBack(t *testing.T) {
	p := newPublisher(t, newRegistry(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			r.Header.Del("If-None-Match")
			h.ServeHTTP(w, r)
		})
	}))
	p.publish("one")
	p.sign("mine")
	mine := p.input()
	p.sign("theirs")
	theirs := p.input()
	_, err := channel.Commit(ctx, &after{p.repo, func() {
		data, desc, err := channel.BuildManifest(theirs.Files)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.repo.PushBlob(ctx, ocispec.Descriptor{}, nil); err == nil {
			t.Fatal("pushed nothing")
		}
		for _, f := range theirs.Files {
			d := ocispec.Descriptor{Digest: digest.FromBytes(f), Size: int64(len(f))}
			if err := p.repo.PushBlob(ctx, d, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(f))), nil }); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.repo.Tag(ctx, desc, data, channel.Tag, ""); err != nil {
			t.Fatal(err)
		}
	}}, mine)
	if !reason.Is(err, reason.Conflict) {
		t.Errorf("%v", err)
	}
}

// after lets a second writer in right after the tag was moved.
type after struct {
	*oci.Repository
	race func()
}

func (a *after) Tag(ctx context.Context, desc ocispec.Descriptor, data []byte, tag string, ifMatch digest.Digest) error {
	err := a.Repository.Tag(ctx, desc, data, tag, ifMatch)
	if tag == channel.Tag && a.race != nil {
		a.race()
	}
	return err
}

// The reader resolved the tag, then the channel moved on and the registry
// collected what the reader was about to fetch.
func TestAReaderThatMeetsAMissingBlobStartsAgain(t *testing.T) {
	var gone string
	var times int
	repo := newRegistry(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gone != "" && times > 0 && strings.HasSuffix(r.URL.Path, gone) && r.Method == http.MethodGet {
				times--
				http.NotFound(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	p := newPublisher(t, repo)
	p.publish("one")
	c := p.reader()
	for _, name := range []string{"timestamp.json", "1.snapshot.json", "1.targets.json"} {
		gone, times = digest.FromBytes(p.files[name]).String(), 1
		p.mustSee(c, "one")
		c = p.reader()
	}
	gone, times = p.previous.String(), 1
	p.mustSee(c, "one")

	// What is lost for good is an end, not a loop.
	gone, times = digest.FromBytes(p.files["timestamp.json"]).String(), 1000
	_, _, err := channel.Refresh(ctx, repo, c, now)
	if !reason.Is(err, reason.Unreachable) || !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if used := 1000 - times; used > 10 {
		t.Errorf("%d attempts", used)
	}
}

func TestAChannelThatIsNotThereIsUnreachable(t *testing.T) {
	p := newPublisher(t, newRegistry(t, nil))
	p.sign("one")
	if _, _, err := channel.Refresh(ctx, p.repo, p.reader(), now); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestRetentionTags(t *testing.T) {
	p := newPublisher(t, newRegistry(t, nil))
	p.publish("one")
	// Any manifest will do as a target.
	data, desc, err := channel.BuildManifest(p.files)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(data), "}", "} ", 1)
	target := ocispec.Descriptor{MediaType: desc.MediaType, Digest: digest.FromString(other), Size: int64(len(other))}
	in := p.input()
	in.Retain = []digest.Digest{target.Digest}
	p.sign("two")
	in.Files, in.Version, in.Previous = p.files, p.tuf.Versions()["timestamp"], p.previous
	if _, err := channel.Commit(ctx, p.repo, in); !errors.Is(err, oci.ErrNotFound) {
		t.Fatalf("a target that was not pushed: %v", err)
	}
	if head, err := channel.Head(ctx, p.repo); err != nil || head != p.previous {
		t.Fatalf("the tag moved: %s, %v", head, err)
	}
	if err := p.repo.PushManifest(ctx, target, []byte(other)); err != nil {
		t.Fatal(err)
	}
	if p.previous, err = channel.Commit(ctx, p.repo, in); err != nil {
		t.Fatal(err)
	}
	at, err := p.repo.ResolveTag(ctx, "consign-"+target.Digest.Encoded())
	if err != nil || at.Digest != target.Digest {
		t.Errorf("%s, %v", at.Digest, err)
	}
	if channel.RetentionTag(target.Digest) != "consign-"+target.Digest.Encoded() {
		t.Errorf("tag %s", channel.RetentionTag(target.Digest))
	}
}

// Each of the last KeepManifests channel manifests has a tag, and no more.
func TestChannelManifestsAreKeptInARing(t *testing.T) {
	tags := map[string]string{}
	repo := newRegistry(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, tag, _ := strings.Cut(r.URL.Path, "/manifests/")
			h.ServeHTTP(w, r)
			if d := w.Header().Get("Docker-Content-Digest"); r.Method == http.MethodPut && strings.HasPrefix(tag, "consign-") {
				tags[tag] = d
			}
		})
	})
	p := newPublisher(t, repo)
	var committed []string
	for range channel.KeepManifests + 3 {
		p.publish("one")
		committed = append(committed, p.previous.String())
	}
	kept := slices.Sorted(maps.Values(tags))
	want := slices.Sorted(slices.Values(committed[3:]))
	if !slices.Equal(kept, want) {
		t.Errorf("kept %v, want the last %d: %v", kept, channel.KeepManifests, want)
	}
	for tag := range tags {
		if len(tag) != len("consign-")+64 {
			t.Errorf("tag %s", tag)
		}
	}
}

func TestNames(t *testing.T) {
	for id, want := range map[string]string{
		"press-07": "devices/press-07", "gateway/press-07": "devices/gateway%2Fpress-07", "a%2Fb": "devices/a%252Fb", "..": "devices/..", "a b": "devices/a%20b",
	} {
		if got := channel.DeviceTarget(id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
		if got, ok := channel.DeviceOf(want); !ok || got != id {
			t.Errorf("%q: %q, %t", want, got, ok)
		}
	}
	for _, name := range []string{"", "policy", "devices/", "devices/a/b", "devices/%2f", "devices/%zz", "a/1.0.0"} {
		if id, ok := channel.DeviceOf(name); ok {
			t.Errorf("%q was taken for device %q", name, id)
		}
	}
	if got := channel.ReleaseTarget("line-monitor", "1.4.0"); got != "line-monitor/1.4.0" {
		t.Error(got)
	}
}

package attacks

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/store"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// stumbling lends documents and panics over one of them, as the reader of a
// malformed one could.
type stumbling struct {
	verify.Documents
	left int
}

func (d *stumbling) stumble() {
	if d.left--; d.left < 0 {
		panic("planted")
	}
}

func (d *stumbling) Manifest(ctx context.Context, at digest.Digest, size int64) ([]byte, error) {
	d.stumble()
	return d.Documents.Manifest(ctx, at, size)
}

func (d *stumbling) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	d.stumble()
	return d.Documents.Blob(ctx, desc)
}

// TestAttackS16AnyDocumentPanics: a panic at any document of a judgement is the
// refusal of what was judged, with the checks made so far, and the next judgement
// is as if nothing had been.
func TestAttackS16AnyDocumentPanics(t *testing.T) {
	s := fresh(t)
	dir := s.D.Config.StateDir
	open := func(client *tufclient.Client, err error) *tufclient.Metadata {
		t.Helper()
		s.Must(err)
		meta, err := client.Stored(time.Unix(0, 0))
		s.Must(err)
		return meta
	}
	docs := gather.Cached{Store: store.Look(filepath.Join(dir, "store"))}
	operator := open(tufclient.Open(filepath.Join(dir, "operator")))
	orders := everyDocument(t, 3, docs, func(docs verify.Documents) (*verify.Orders, error) {
		return verify.ReadOrders(s.Context(), operator, device, docs)
	})
	policy, o := orders.Policy(), orders.List()[0]
	supplier := open(channel.LookSupplier(filepath.Join(dir, "suppliers"), "acme", policy.Root("acme")))
	in := verify.ReleaseInput{Policy: policy, Channel: supplier, ChannelName: "acme", Application: "hello", Version: "1.0.0"}
	release := everyDocument(t, 4, docs, func(docs verify.Documents) (*verify.Release, error) {
		return verify.CheckRelease(s.Context(), in, docs)
	})
	everyDocument(t, 1, docs, func(docs verify.Documents) (*verify.Verdict, error) {
		return verify.Decide(s.Context(), verify.DecideInput{Order: o, Release: release}, docs)
	})
}

// everyDocument judges with a panic at the first document, at the second, and so
// on, and returns the judgement with none.
func everyDocument[T any](t *testing.T, least int, docs verify.Documents, judge func(verify.Documents) (*T, error)) *T {
	t.Helper()
	for n := 0; ; n++ {
		d := &stumbling{docs, n}
		out, err := judge(d)
		if d.left >= 0 || n > 1000 {
			if n < least {
				t.Errorf("only %d documents were read", n)
			}
			return out
		}
		steps := verify.StepsOf(err)
		if out != nil || !reason.Is(err, reason.Internal) || len(steps) == 0 || steps[len(steps)-1].Name != "verifier" {
			t.Errorf("a panic at document %d: %v, %v after %d checks", n, out, err, len(steps))
		}
	}
}

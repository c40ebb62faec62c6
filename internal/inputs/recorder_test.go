package inputs

import (
	"context"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
)

// shelf lends texts; one that is not there is unreachable, and one under the
// digest of "swapped" is other bytes.
type shelf map[digest.Digest]string

func (s shelf) Manifest(_ context.Context, d digest.Digest, _ int64) ([]byte, error) {
	text, ok := s[d]
	if !ok {
		return nil, reason.New(reason.Unreachable, "%s is not there", d)
	}
	return []byte(text), nil
}

func (s shelf) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return s.Manifest(ctx, desc.Digest, desc.Size)
}

// TestRecorderForgetsNothing: what was lent, what was not, and what was wrong.
func TestRecorderForgetsNothing(t *testing.T) {
	s := shelf{ref("manifest").Digest: "manifest", ref("blob").Digest: "blob", ref("swapped").Digest: "other"}
	r := Record(s)
	for _, text := range []string{"manifest", "swapped", "lost"} {
		got, err := r.Manifest(t.Context(), ref(text).Digest, int64(len(text)))
		if want, wantErr := s.Manifest(t.Context(), ref(text).Digest, 0); string(got) != string(want) || reason.Of(err) != reason.Of(wantErr) {
			t.Errorf("%s: lent %q, %v", text, got, err)
		}
	}
	if _, err := r.Blob(t.Context(), ocispec.Descriptor{Digest: ref("blob").Digest, Size: 4}); err != nil {
		t.Fatal(err)
	}
	d := example(Orders)
	d.Documents = []Ref{ref("from another")}
	r.AddTo(d)
	if len(d.Documents) != 3 || len(d.Unread) != 2 {
		t.Fatalf("noted %+v and %+v", d.Documents, d.Unread)
	}
	for _, u := range d.Unread {
		if want := map[digest.Digest]reason.Code{ref("swapped").Digest: reason.DigestMismatch, ref("lost").Digest: reason.Unreachable}[u.Digest]; u.Reason != want {
			t.Errorf("%s: %s, want %s", u.Digest, u.Reason, want)
		}
	}
	encode(t, d)

	s[ref("lost").Digest] = "lost" // asked again, it was there
	if _, err := r.Manifest(t.Context(), ref("lost").Digest, 4); err != nil {
		t.Fatal(err)
	}
	d.Unread = nil
	r.AddTo(d)
	if len(d.Documents) != 4 || len(d.Unread) != 1 {
		t.Errorf("noted %+v and %+v", d.Documents, d.Unread)
	}
}

package verify_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// What nobody signed leads to nothing that can be applied: a rehearsal is no
// verdict, cannot be converted into one, and nothing that it gives away, however
// deep, is a thing from which Decide or Permit could make one.
func TestARehearsalLeadsToNoVerdict(t *testing.T) {
	rehearsal := reflect.TypeFor[*verify.Rehearsal]()
	judged := []reflect.Type{
		reflect.TypeFor[verify.Verdict](), reflect.TypeFor[verify.Permit](), reflect.TypeFor[verify.Order](),
		reflect.TypeFor[verify.Orders](), reflect.TypeFor[verify.Release](), reflect.TypeFor[verify.Policy](),
	}
	for _, j := range judged {
		if rehearsal.Elem().ConvertibleTo(j) || rehearsal.ConvertibleTo(reflect.PointerTo(j)) {
			t.Errorf("a Rehearsal can be converted to %s", j)
		}
	}
	for i := range rehearsal.NumMethod() {
		m := rehearsal.Method(i)
		for n := range m.Type.NumOut() {
			for _, j := range judged {
				if holds(m.Type.Out(n), j, map[reflect.Type]bool{}) {
					t.Errorf("%s gives away a %s", m.Name, j)
				}
			}
		}
	}
}

// holds reports whether a value of t can hold one of want that is reachable from outside.
func holds(t, want reflect.Type, seen map[reflect.Type]bool) bool {
	if t == want {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return holds(t.Elem(), want, seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && holds(f.Type, want, seen) {
				return true
			}
		}
	}
	return false
}

// The lender of a plan's documents is not trusted either.
func TestRehearsedBytesAreHashed(t *testing.T) {
	data := []byte(`{"schemaVersion":2}`)
	desc := ocispec.Descriptor{Digest: digest.FromString("something else"), Size: int64(len(data))}
	_, err := verify.RehearseUnlisted(t.Context(), verify.UnlistedInput{Bundle: desc}, lender(data))
	if !reason.Is(err, reason.DigestMismatch) {
		t.Errorf("got %v, want digest-mismatch", err)
	}
}

type lender []byte

func (l lender) Manifest(context.Context, digest.Digest, int64) ([]byte, error) { return l, nil }
func (l lender) Blob(context.Context, ocispec.Descriptor) ([]byte, error)       { return l, nil }

// Package plan says what a command would change, before anything is signed.
//
// A package that would be published ([OfPackage]) is packed into a temporary
// layout; an order that would be signed ([OfOrder]) is built and compared with
// the one that stands. Both are rehearsed by internal/verify and rendered by the
// applier program that devices use, so that a plan does not imitate what a
// device does but is made by the same code.
//
// The trap: a plan is a view and no permission. Nothing in here can sign, and a
// [verify.Rehearsal] leads to nothing that can be applied. What only a device or
// a later signature can tell is listed as unknown in every plan.
//
// Field names in JSON are stable; docs/operations/plan.md describes them.
package plan

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/verify"
)

// Renderer makes the objects of a rehearsal, as [apply.Compose] does.
type Renderer interface {
	Render(ctx context.Context, r verify.Renderable, archive func(ocispec.Descriptor) ([]byte, error)) ([]verify.Render, error)
}

// Source lends what a bundle consists of: a layout or a repository.
type Source interface {
	verify.Documents
	// Archive returns a component archive.
	Archive(ctx context.Context) func(ocispec.Descriptor) ([]byte, error)
}

package verify

import "github.com/opencontainers/go-digest"

// Verdict says that one order may be fetched and rendered on one device. Only
// [Decide] makes one.
type Verdict struct {
	content
	order   *Order
	release *Release
	steps   []Step
}

// Order returns the order that was judged.
func (v *Verdict) Order() *Order { return v.order }

// Release returns the release that was judged.
func (v *Verdict) Release() *Release { return v.release }

// Documents returns the digests of the documents that the verdict rests on.
func (v *Verdict) Documents() []digest.Digest {
	return append(append([]digest.Digest{v.order.digest, v.release.policy.digest}, v.release.documents...), v.documents...)
}

// Steps returns the checks that were made, for --explain and for the log.
func (v *Verdict) Steps() []Step { return v.steps }

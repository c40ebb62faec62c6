package verify

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
)

// TestTrialCountsEvidenceAsADeviceDoes: more than a device reads is refused before
// any of it is.
func TestTrialCountsEvidenceAsADeviceDoes(t *testing.T) {
	in := TrialInput{Evidence: make([]channel.EvidenceRef, MaxEvidence), Statements: make([]Promised, 1)}
	r := &Release{digest: digest.FromString("a bundle")}
	if err := r.trySupplied(t.Context(), &trail{}, in, nil); !reason.Is(err, reason.Signature) {
		t.Error(err)
	}
}

package margo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

// TestEndorsementsOfAnOrder: each is a digest with its size, once, and there are few.
func TestEndorsementsOfAnOrder(t *testing.T) {
	digest := func(n int) string { return fmt.Sprintf("sha256:%064x", n) }
	many := make([]EvidenceRef, MaxEndorsements+1)
	for n := range many {
		many[n] = EvidenceRef{digest(n), 1}
	}
	check := func(list []EvidenceRef) error {
		o := Order{Bundle: BundleRef{Channel: "acme", Version: "1.0.0", Digest: digest(0)}, Endorsements: list}
		var p problems
		o.validate(&p)
		return p.err(reason.Malformed, "order")
	}
	if err := check(many[1:]); err != nil {
		t.Error(err)
	}
	for says, list := range map[string][]EvidenceRef{
		"endorsements: 33, at most 32":                        many,
		"endorsements[0].digest: \"sha256:a\" is not":         {{"sha256:a", 1}},
		"endorsements[0].size: 0 is not between":              {{digest(1), 0}},
		"endorsements[0].size: 4194305 is not between":        {{digest(1), 4<<20 + 1}},
		"endorsements[1].digest: the same as endorsements[0]": {{digest(1), 1}, {digest(1), 1}},
	} {
		if err := check(list); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

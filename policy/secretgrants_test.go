package policy_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

func TestSecretsAreGrantedByName(t *testing.T) {
	g := policy.Grants{Secrets: []string{"line-7"}}
	if err := g.CheckSecrets([]string{"line-7"}); err != nil {
		t.Error(err)
	}
	for _, names := range [][]string{{"line-70"}, {"line-7", "line-8"}, {""}} {
		if err := g.CheckSecrets(names); !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "grants.secrets") {
			t.Errorf("%q: %v, want a refused grant", names, err)
		}
	}
	if err := (policy.Grants{}).CheckSecrets([]string{"line-7"}); !reason.Is(err, reason.Grant) {
		t.Errorf("without any grant: %v", err)
	}
}

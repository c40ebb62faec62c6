package policy_test

import (
	"os"
	"strings"
	"testing"
)

// The specification is what authors of applications read, so it names every
// harmless key.
func TestSpecificationNamesEveryHarmlessKey(t *testing.T) {
	spec := string(must(os.ReadFile("../docs/spec/policy.md")))
	for at, keys := range allowed {
		for _, key := range keys {
			if !strings.Contains(spec, "`"+key+"`") && !strings.Contains(spec, "{"+key) && !strings.Contains(spec, key+"}") &&
				!strings.Contains(spec, "`"+key+":") {
				t.Errorf("docs/spec/policy.md does not name %s.%s", at, key)
			}
		}
	}
}

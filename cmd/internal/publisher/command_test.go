package publisher

import (
	"testing"

	"github.com/consign-dev/consign/internal/cli"
)

// TestEveryCommandIsExplained: --help of each command has a sentence and an example.
func TestEveryCommandIsExplained(t *testing.T) {
	if missing := cli.Undocumented(Command()); len(missing) > 0 {
		t.Errorf("commands without a short description or an example: %q", missing)
	}
}

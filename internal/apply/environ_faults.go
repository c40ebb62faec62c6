//go:build faults

package apply

import (
	"os"

	"github.com/consign-dev/consign/internal/fault"
)

// environment hands the fault that is armed on to the applier program, so that
// one can be set at a point inside it.
func environment() []string {
	env := []string{}
	for _, name := range []string{fault.Variable, fault.Variable + "_TRACE"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

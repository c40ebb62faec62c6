//go:build !faults

package apply

// environment is what an applier program inherits: nothing. Not even a PATH:
// it starts no other program.
func environment() []string { return []string{} }

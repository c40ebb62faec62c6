// Package attacks makes attacks on a device, one after another, each on a fresh
// copy of one signed world in which an application runs. Every attack must be
// refused for its named reason, with one entry in the device log, without
// touching what runs, and the next good order must be carried out.
//
// It has tests only. A test is named after its row in the catalogue, as
// TestAttackT2RolesPutBack is after T2, and test/mutants/T2.patch is the change
// to the product that this test has to notice.
package attacks

// Package architecture holds no program code: its tests hold the rules that a
// compiler does not.
//
//   - Imports go downwards through the layers (layers_test.go).
//   - The verifier and the policy read no disk, network, environment or clock,
//     and heavy engine libraries stay with the applier that needs them
//     (imports_test.go, programs_test.go).
//   - Durable files are written by internal/durable and time is a parameter
//     (calls_test.go).
//   - Modules with known faults are kept out, and every direct dependency has
//     a reason in docs/dependencies.md (modules_test.go).
//   - The documents name what exists (documents_test.go).
//
// A rule may have exceptions; each stands in a table here with its reason, and
// one that is no longer needed fails the test.
package architecture

// Package kills ends the real programs where it hurts: at each of their
// stopping points (internal/fault), at random moments, on disks that are full,
// read-only or damaged, and after power cuts. It holds nothing but tests.
//
// Each test makes a world (internal/world), lets it come to the moment before a
// command, and keeps what lies on the disks then: registry, key directories,
// the device's state, the engine. A trial is a copy of that. The command is
// killed in it, what readers see is looked at, and the command is run once more
// undisturbed. What must hold:
//
//   - a reader, with or without a memory, sees the state before or the state
//     after, and everything that it lists;
//   - the second run ends well and leaves what an undisturbed run leaves;
//   - the device's log is whole at every moment, and each intent that was cut
//     off is ended by a gap;
//   - what was verified and kept is not fetched again, what a registry has
//     answered for is not sent again;
//   - no temporary file stays.
//
// "make test" kills at the first passage of each point and at some of the others;
// with CONSIGN_SOAK=1, as "make soak" sets it, at every passage, and hundreds of
// times at random. A random test prints its seed; CONSIGN_SEED repeats it.
package kills

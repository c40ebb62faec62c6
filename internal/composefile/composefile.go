// Package composefile turns a Margo Compose archive into one exact Compose
// project.
//
// A Margo Compose component is a tar.gz with exactly one top-level directory
// (its name means nothing) that contains compose.yaml and the files that
// compose.yaml refers to (Margo 1.0.0-rc.3, Compose Archive). The package
//
//   - packs a directory into such an archive, the same bytes every time:
//     [Pack];
//   - unpacks one into memory, refusing everything that a plain tree of files
//     has no need of: [Unpack];
//   - resolves compose.yaml to a project with compose-go: [Load];
//   - lists and replaces the images of a project: [Images], [ReplaceImages];
//   - writes a project down as JSON and reads it back unchanged: [Encode],
//     [Decode].
//
// Both the publisher and the applier use it, and neither gives it anything but
// the archive and the values: no environment of the host, no file outside the
// archive and no network can enter a project. Secrets never do: a project names
// those that it wants ([Vars]). What a project may ask of the machine is a
// question for the policy, which is put to the encoded project.
//
// The trap: compose-go reads files and the environment whenever an option lets
// it. Every option that does is turned off here, what it would have read is
// refused by name or resolved from the archive, and the render runs in a
// sandbox all the same.
package composefile

// ComposeFile is the one name that Margo allows for the Compose file.
const ComposeFile = "compose.yaml"

// Files are the regular files of an unpacked archive: contents by path, the
// path relative to the top-level directory, with slashes.
type Files map[string][]byte

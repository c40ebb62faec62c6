// Package tufclient keeps trusted TUF metadata on disk and moves it forward.
//
// It is the TUF client workflow (TUF 1.0.34 section 5) around go-tuf's
// trustedmetadata, which judges bytes against a reference time. What this
// package adds is the state: every accepted document is durable before the
// next one is asked for, a failed step leaves the last good files and the
// steps that passed before it, and a registry that contradicts itself leaves
// evidence instead of a shrug.
//
// # The directory
//
//	root.json timestamp.json snapshot.json targets.json <role>.json
//	                 the newest document of each role: what rollback is judged by
//	roots/N.root.json
//	                 every root of the chain, from the pinned one on
//	complete/        the last set that was whole: timestamp.json, N.<role>.json;
//	                 its timestamp is written last and names all the others
//	evidence/<sha256>.json
//	                 both documents of an equivocation, byte for byte
//
// Role names are encoded in file names, so a role name is never a path. One
// process at a time may use a directory; callers hold a lock of their own.
//
// # Channels
//
// A Consign channel is a TUF repository whose root, timestamp and targets
// documents, delegated ones too, carry the signed field "x-consign-channel":
// {"kind", "id"}, and whose timestamp carries "x-consign-signed-at" (RFC 3339).
// The identity is pinned with the root, and every later document must repeat
// it, so keys that are shared by two channels do not let one be served as the
// other. A repository that declares no identity is a plain one, and then no
// document of it may declare one.
//
// # What is stricter than the specification
//
// Documents with two readings are refused before go-tuf sees them: duplicate
// keys, keys that differ from a TUF field only in case, null, fractions and
// integers beyond 2^53-1. Delegations by path_hash_prefixes are refused, since
// go-tuf 2.4.2 compares the wrong encoding of the hash. A document expires at
// its expiry instant, not one nanosecond later. No version may jump by more
// than [MaxVersionJump], so a stolen online key cannot exhaust the version
// numbers of a device in one step.
//
// An equal version with other signed content is an equivocation, in every
// role. The same signed content with other signatures or white space is not:
// anyone can make those, and an alarm that a stranger can raise is worth nothing.
//
// # Recovery from fast-forwarded versions
//
// When a new root takes a key away from the timestamp or snapshot role, the
// stored timestamp and snapshot are forgotten (TUF 1.0.34 section 5.3.11), so
// that a channel whose versions a thief pushed up can begin again below them.
package tufclient

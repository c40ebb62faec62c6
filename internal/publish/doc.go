// Package publish is what the publisher command does for a supplier and for an
// operator: it makes channels, publishes bundles into release channels, and
// writes policies, devices and orders into deployment channels.
//
// Each operation opens a channel, which takes the lock beside its keys and
// refreshes the channel from the registry with the same client a device uses,
// so a publisher never signs on top of a state that a registry rolled back. It
// then stages changes and commits them: everything is pushed and read back
// before the tag moves, so readers see all of it or nothing. Every operation
// can be run again after an interruption.
//
// [Publisher.Copy] needs no keys: it brings a channel that others signed, with
// what it lists, to another registry or a directory.
//
// # Several writers
//
// Commits are written down in a journal beside the keys before anything is
// pushed. An operation whose commit is overtaken starts again from the new
// state. One that finds an earlier commit of the same key directory missing
// commits it again first; docs/adr/0011-lost-commits.md says when, and why a
// registry cannot make use of it.
package publish

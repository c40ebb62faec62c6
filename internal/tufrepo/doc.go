// Package tufrepo makes and signs channels: TUF repositories, in memory, as
// internal/tufclient reads them.
//
// A [Repo] is made new by [Create] or taken from verified metadata by
// [FromMetadata], so nothing is ever signed on top of unverified state. Targets
// are changed in memory; [Repo.Sign] then raises the version of every role that
// changed, of the snapshot if any did, and of the timestamp always, and returns
// the complete set of files after reading it back with the client's own
// verifier. What it does with the files is up to the caller.
//
// # Roles and lifetimes
//
// root and targets are meant to be kept offline, with thresholds; snapshot and
// timestamp are online keys that a timer uses; a deployment channel has a
// delegated role "deploy" for everyday orders, which may speak for devices/*
// and nothing else.
//
// A device that has been offline reads fresh metadata when it comes back, so
// lifetimes need not cover its absence. They bound two other things: how long
// a registry can hold a device on old metadata unnoticed (the timestamp, one
// week), and how often people must come to the offline keys (root every two
// years, targets and deploy every year). The snapshot's month lets the timer
// miss three weeks before devices notice. Running applications are never
// stopped by an expiry.
package tufrepo

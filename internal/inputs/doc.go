// Package inputs is the record of what one decision of a device was made from:
// a small JSON document that names, by digest, everything that internal/verify
// was given, and says what it answered. The event in the device log names the
// document; docs/spec/replay.md is its specification.
//
// Nothing here decides anything, and the device never reads a decision back: it
// writes these documents for auditors, who give the same bytes to the same
// functions (internal/replay). What the device reads of one is what it names,
// to know how long to keep it.
//
// A [Recorder] stands between the verifier and whoever lends it documents, so
// that a document which the verifier reads cannot be forgotten.
package inputs

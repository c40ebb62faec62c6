package tufclient

// Bounds of what is read. A document over its bound has reason too-large.
const (
	// MaxRoot: a root with a hundred 4096-bit RSA keys takes about 100 KiB.
	MaxRoot = 512 << 10
	// MaxTimestamp: a timestamp names one file; this is read before any length
	// was signed, so it is the smallest bound.
	MaxTimestamp = 16 << 10
	// MaxSnapshot: about 150 bytes per role, so some ten thousand roles.
	MaxSnapshot = 2 << 20
	// MaxTargets holds ten thousand releases with their evidence lists; larger
	// channels divide into succinct bins.
	MaxTargets = 5 << 20

	// MaxRootRotations is how many new roots are accepted in one refresh. A
	// device that lay in a store room for ten years meets one root a month with
	// this number to spare; the next refresh continues where this one stopped.
	MaxRootRotations = 1024
	// MaxVersionJump bounds how far a version may rise between two documents
	// that one client sees: a timestamp refreshed every minute for thirty years.
	// A thief of an online key would need 2^29 visits of a device to exhaust
	// its version numbers, so the owner has time to rotate the key.
	MaxVersionJump = 1 << 24
	// MaxLookupRoles bounds the roles that the search for one target visits.
	MaxLookupRoles = 64
	// MaxRoles bounds the delegated roles that are loaded when all are.
	MaxRoles = 1024

	// maxSignatures bounds the signatures of one document, of which each is
	// compared with each other.
	maxSignatures = 64
	// maxRoleKeys bounds the keys of one role: the document is encoded anew for
	// every key that is tried.
	maxRoleKeys = 32
	// maxRoleName keeps the encoded file name of a role under the 255 bytes
	// that file systems allow, when every byte takes three.
	maxRoleName = 64
	// maxInteger is the largest integer that every JSON reader agrees on (RFC
	// 7493 section 2.2).
	maxInteger = 1<<53 - 1
	// maxDepth: no TUF document nests deeper than 8; custom data may.
	maxDepth = 32
	// maxEvidence bounds the files under evidence/, so that a stolen key cannot
	// fill the disk with proofs of its theft.
	maxEvidence = 64
)

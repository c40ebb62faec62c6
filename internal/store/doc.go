// Package store keeps content on a device by digest.
//
// # On disk
//
//	<dir>/oci-layout            the directory is an OCI image layout without an index
//	<dir>/blobs/sha256/<hex>    complete, verified, synced content
//	<dir>/ingest/<hex>          what has arrived of something
//
// Directories have mode 0700, files 0600. A name under blobs appears by a
// rename after its bytes were hashed and synced, and never otherwise; killed at
// any moment, the store holds whole content and partial downloads.
//
// # What can be believed
//
// A name says what was written once, not what a disk returns years later. So
// content is hashed again whenever it leaves the store: [Store.Open],
// [Store.Bytes] and [Store.Handler] deliver the last bytes only when the digest
// is right, and what is not right is removed, so that the next [Store.Fetch]
// gets it anew instead of believing its name. Links, pipes and devices planted
// under a name are refused and never followed.
//
// # Resuming
//
// [Store.Fetch] continues a partial download where it ends. The part that is
// there is hashed while the rest is awaited, so each byte is hashed once and
// none is trusted unhashed. If the whole then turns out wrong, the part may
// have been damaged by a power cut: it is dropped and the content is fetched
// once more from the start.
//
// One process writes a store at a time; the agent holds its state lock for it.
// Others read beside it with [Look].
package store

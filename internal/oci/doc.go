// Package oci moves bytes between OCI registries, OCI image layouts and this
// program. It knows digests and sizes and nothing of trust: who signed what is
// decided elsewhere, over bytes that this package has checked.
//
// # Client
//
// [NewClient] makes a [Client] from a few settings, [Client.Repository] names
// one repository in it. Everything is addressed by sha256 digest; a tag is
// resolved once with [Repository.ResolveTag], and its answer is a hint that
// later checks must confirm. Whatever is read is bounded before it is read:
// blobs by the size in their descriptor, manifests by [MaxManifestBytes],
// response headers, error bodies and lists by fixed limits.
//
// Transport rules, which no option relaxes:
//
//   - Plain HTTP only to loopback hosts (127.0.0.0/8, ::1, localhost). This
//     holds for every request, so also for redirects and token endpoints.
//   - A redirect never leads from HTTPS to HTTP, never from another host to
//     loopback or link-local addresses, and never carries credentials to
//     another scheme, host or port.
//   - Credentials come from the Docker configuration and only for the host
//     that was asked for.
//   - Every operation ends by itself: an answer must begin within
//     Limits.RequestTimeout, whatever leads to it, and every body, also that of
//     an error or a token, must come at the minimum rate. An object may take the
//     time that its size needs at that rate, never more than
//     Limits.ObjectTimeout.
//   - 429 and 5xx answers are retried a few times, a Retry-After of the
//     registry is followed up to a limit.
//
// Refusals carry a code of package reason: unreachable (network, credentials,
// not found), too-slow, too-large, digest-mismatch, malformed, conflict.
//
// # Verified streams
//
// [VerifyReader] is the one place where a stream is compared with a
// descriptor. It keeps the last bytes back until length and digest are known
// to be right: a consumer that has seen the whole size has seen the right
// content, even if it never looks for the end of the stream.
//
// # Layout
//
// [Layout] writes and reads OCI image layout directories (OCI Image Spec 1.1,
// Image Layout). Its output depends only on its content: entries of index.json
// are sorted and every JSON document is written by one encoder.
//
// # Directories
//
// [NewDirectoryReader] and [NewDirectoryWriter] make clients for which every
// repository lies in a directory, at its [LocalPath]. They are the client of
// registries, connected over pipes to a handler in this process: [Directory],
// which reads what anyone may have written, or a [Registry]. No rule above is
// relaxed for them, and none exists twice.
//
// # Registry
//
// [NewRegistry] is an http.Handler that serves a directory of image layouts,
// for quick starts, small sites and tests. The protocol is olareg's; the
// guarantees that a channel needs are added around it: serialised manifest
// writes, If-Match on tags, and nothing answered before it is on the disk.
//
// It collects garbage: once an hour, blobs that no manifest of their repository
// refers to and that are older than a day. Manifests stay, tagged or not, until
// a client deletes them where that is allowed. A repository with something
// unreadable in it is not collected until that is repaired by pushing it again.
// An upload that nobody continues for a day is given up; of more than 1024 at a
// time the longest unused one is.
package oci

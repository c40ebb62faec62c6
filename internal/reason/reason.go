// Package reason is the closed vocabulary of refusals.
//
// Every package that can refuse something says why with a [Code]. The same
// string appears in error texts, in JSON output, in the device log, in
// docs/spec/reasons.md and in tests, so that a person who meets "freeze" in a
// log can look it up. Packages below the verifier produce codes too (a byte
// stream that does not hash to its digest is "digest-mismatch" whoever reads
// it), which is why the list lives in a leaf and not in internal/verify.
package reason

import (
	"errors"
	"fmt"
)

// Code is one reason for a refusal. Its text is stable: it is written to logs
// that are read years later.
type Code string

// The closed list. A new code is added to docs/spec/reasons.md first.
const (
	Malformed          Code = "malformed"
	TooLarge           Code = "too-large"
	TooSlow            Code = "too-slow"
	DigestMismatch     Code = "digest-mismatch"
	UntrustedSigner    Code = "untrusted-signer"
	Threshold          Code = "threshold"
	Expired            Code = "expired"
	Freeze             Code = "freeze"
	Rollback           Code = "rollback"
	Equivocation       Code = "equivocation"
	WrongChannel       Code = "wrong-channel"
	NoOrder            Code = "no-order"
	WrongDevice        Code = "wrong-device"
	NotReleased        Code = "not-released"
	DeploymentMismatch Code = "deployment-mismatch"
	Downgrade          Code = "downgrade"
	Revoked            Code = "revoked"
	Signature          Code = "signature"
	Identity           Code = "identity"
	Provenance         Code = "provenance"
	Attestation        Code = "attestation"
	Rule               Code = "rule"
	Grant              Code = "grant"
	ImageUnpinned      Code = "image-unpinned"
	Ineligible         Code = "ineligible"
	Platform           Code = "platform"
	Path               Code = "path"
	Archive            Code = "archive"
	Render             Code = "render"
	Health             Code = "health"
	NoSpace            Code = "no-space"
	Exists             Code = "exists"
	Conflict           Code = "conflict"
	Unreachable        Code = "unreachable"
	Clock              Code = "clock"
	LogUnwritable      Code = "log-unwritable"
	Internal           Code = "internal"
)

// Class says what can be done about a refusal.
type Class int

const (
	// Person: a human has to change something; trying again cannot help.
	Person Class = iota
	// Retry: the same attempt may succeed later without anyone acting.
	Retry
	// Wait: nothing is wrong here; another party has to publish something newer.
	Wait
)

// String returns "person", "retry" or "wait", the form used in JSON output.
func (c Class) String() string {
	switch c {
	case Retry:
		return "retry"
	case Wait:
		return "wait"
	default:
		return "person"
	}
}

type entry struct {
	class Class
	next  string
}

// The advice is written for the person at the device or the pipeline, who has
// not read the specification.
var table = map[Code]entry{
	Malformed:          {Person, "what the message names does not follow its format; correct it where it was made"},
	TooLarge:           {Person, "the object is larger than the signed length or the fixed limit allows; publish a smaller one"},
	TooSlow:            {Retry, "the source sent too slowly; check the network path, what was received is kept for the next try"},
	DigestMismatch:     {Person, "the bytes are not the ones that were signed; repair or replace the registry's copy, and find out who changed it"},
	UntrustedSigner:    {Person, "no key that the policy accepts made this signature; sign with an accepted key or have the operator change the policy"},
	Threshold:          {Person, "fewer distinct accepted keys and identities signed than are required; collect the missing signatures"},
	Expired:            {Wait, "the metadata is past its expiry date; the channel's owner must run 'publisher channel refresh'"},
	Freeze:             {Wait, "the registry still serves metadata that has expired; the channel's owner must refresh it, or the registry is withholding updates"},
	Rollback:           {Person, "the registry serves older metadata than this client has already seen; restore the newest state of the registry"},
	Equivocation:       {Person, "two different documents were signed under one version; keep the saved evidence and call the channel's owner"},
	WrongChannel:       {Person, "the metadata belongs to another channel; check the repository address and the root"},
	NoOrder:            {Wait, "the deployment channel has no instruction for this device; the operator runs 'publisher device add' or 'publisher deploy'"},
	WrongDevice:        {Person, "the instruction is for another device; the operator deploys to this device's id"},
	NotReleased:        {Person, "the supplier's release channel does not list this bundle under this version; deploy a released version"},
	DeploymentMismatch: {Person, "the deployment does not fit the signed package; deploy again with declared parameters and values"},
	Downgrade:          {Person, "the version is lower than the floor; deploy a newer version, or allow the downgrade if the policy's minimum permits it"},
	Revoked:            {Person, "the version was withdrawn; deploy another one"},
	Signature:          {Person, "a signature does not verify; publish again and find out what changed the evidence"},
	Identity:           {Person, "the signer's identity is not the one the policy names"},
	Provenance:         {Person, "the provenance does not say what the policy demands"},
	Attestation:        {Person, "an attestation that the policy demands is missing or wrong"},
	Rule:               {Person, "the policy does not allow this; the operator changes the policy or the deployment"},
	Grant:              {Person, "the application asks for something of the machine that the policy does not grant; remove it, or the operator grants it by name"},
	ImageUnpinned:      {Person, "a container image is not part of the bundle; pack again with the image included"},
	Ineligible:         {Person, "this device does not meet the package's device constraints, or a secret that the order names is not on it as it must be; deploy to another device, or correct the file that the message names"},
	Platform:           {Person, "the bundle has no image for this device's platform; pack with this platform included"},
	Path:               {Person, "a name would leave the directory it belongs to; correct it in the package"},
	Archive:            {Person, "the component archive is not a plain tar.gz of files and directories; pack again"},
	Render:             {Person, "the component could not be rendered; run 'publisher pack' on its source and correct what it names"},
	Health:             {Person, "the application did not become healthy in time; read its container logs"},
	NoSpace:            {Person, "there is not enough free disk space; free the amount that the message names"},
	Exists:             {Person, "what is there already is never replaced; choose another name, version or place"},
	Conflict:           {Retry, "another writer changed the same thing; run the command again"},
	Unreachable:        {Retry, "the registry or engine could not be reached; check address, network and credentials"},
	Clock:              {Person, "the system clock is not plausible; set it"},
	LogUnwritable:      {Person, "the device log cannot be written, so nothing is applied; check the disk and permissions of the state directory"},
	Internal:           {Person, "this is a defect in Consign or its installation; report it with the message"},
}

// All returns every code in the order of the specification.
func All() []Code {
	return []Code{
		Malformed, TooLarge, TooSlow, DigestMismatch, UntrustedSigner, Threshold, Expired, Freeze, Rollback,
		Equivocation, WrongChannel, NoOrder, WrongDevice, NotReleased, DeploymentMismatch, Downgrade, Revoked,
		Signature, Identity, Provenance, Attestation, Rule, Grant, ImageUnpinned, Ineligible, Platform, Path,
		Archive, Render, Health, NoSpace, Exists, Conflict, Unreachable, Clock, LogUnwritable, Internal,
	}
}

// Valid reports whether c is in the closed list.
func (c Code) Valid() bool { _, ok := table[c]; return ok }

// Class says who can do something about c. An unknown code needs a person.
func (c Code) Class() Class { return table[c].class }

// Next is one sentence telling a person what to do about c.
func (c Code) Next() string { return table[c].next }

// Error is a refusal. It wraps the error that explains it.
type Error struct {
	Code Code
	Err  error
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// New makes a refusal from a format and its arguments; %w works as in fmt.Errorf.
func New(code Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Wrap gives err a code unless it is nil or already carries one: the code
// nearest to the fault knows best.
func Wrap(code Code, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Code: code, Err: err}
}

// Of returns the code that err carries, "" for nil, and [Internal] for an
// error that carries none.
func Of(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Is reports whether err carries code.
func Is(err error, code Code) bool { return err != nil && Of(err) == code }

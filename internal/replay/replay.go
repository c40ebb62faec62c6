package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// Archive lends the bytes of a document by digest. They are hashed here.
type Archive func(ref inputs.Ref) ([]byte, error)

// Answer is what the verifier says this time.
type Answer struct {
	inputs.Decision
	// Policy, State, Bundle and Render are what it judged, as the log names them;
	// "" for what it did not come to.
	Policy, State, Bundle, Render digest.Digest
	// Message is the refusal's, for people.
	Message string
	Steps   []verify.Step
}

// Damage is the error for an archive that does not hold what an inputs document
// names.
type Damage struct {
	Digest digest.Digest
	Err    error
}

func (d *Damage) Error() string { return fmt.Sprintf("document %s: %v", d.Digest, d.Err) }
func (d *Damage) Unwrap() error { return d.Err }

// Run judges again. root is the operator's root, exact bytes, from a source that
// the caller trusts; it must be the one that the device was pinned to. An error
// says that there is no answer: the archive is damaged ([Damage]), or the
// document is not one that a device could have written.
func Run(ctx context.Context, d *inputs.Document, root []byte, archive Archive) (Answer, error) {
	r := &run{doc: d, archive: archive}
	if err := r.load(root); err != nil {
		return Answer{}, err
	}
	err := r.ask(ctx)
	if r.damage != nil {
		return Answer{}, r.damage
	}
	var refusal *verify.Refusal
	if err != nil && !errors.As(err, &refusal) {
		return Answer{}, err
	}
	if refusal != nil {
		r.answer.Decision = inputs.Decision{Outcome: inputs.Refused, Reason: reason.Of(refusal), Step: refusal.Step()}
		r.answer.Message, r.answer.Steps = refusal.Error(), refusal.Steps
	}
	return r.answer, nil
}

// run is one replay. damage is the first document that the archive could not
// lend; what the verifier makes of that does not matter.
type run struct {
	doc     *inputs.Document
	archive Archive
	damage  *Damage

	device   verify.Device
	operator *tufclient.Metadata
	answer   Answer
}

// load rebuilds what the device knew before it looked at any order.
func (r *run) load(root []byte) (err error) {
	if got := digest.SHA256.FromBytes(root); got != r.doc.Operator.Root {
		return fmt.Errorf("the decision was made under the operator root %s, the one given is %s", r.doc.Operator.Root, got)
	}
	dev := r.doc.Device
	r.device = verify.Device{ID: dev.ID, Platform: dev.Platform, Reserved: dev.Reserved}
	if dev.Capabilities != nil {
		data, err := r.read(*dev.Capabilities)
		if err != nil {
			return err
		}
		if r.device.Capabilities, err = margo.ParseCapabilities(data); err != nil {
			return err
		}
	}
	r.operator, err = r.metadata(r.doc.Operator, root)
	return err
}

// metadata verifies a channel's files by a trusted root, as of the archived time.
func (r *run) metadata(c inputs.Channel, root []byte) (*tufclient.Metadata, error) {
	files := map[string][]byte{}
	for _, f := range c.Metadata {
		data, err := r.read(inputs.Ref{Digest: f.Digest, Size: f.Size})
		if err != nil {
			return nil, err
		}
		files[f.Name] = data
	}
	meta, err := tufclient.Verify(root, files, c.Time)
	if err != nil {
		return nil, fmt.Errorf("archived metadata: %w", err)
	}
	return meta, nil
}

// read returns a document, hashed.
func (r *run) read(ref inputs.Ref) ([]byte, error) {
	data, err := r.archive(ref)
	if err == nil && int64(len(data)) != ref.Size {
		err = reason.New(reason.DigestMismatch, "%d bytes where %d were archived", len(data), ref.Size)
	}
	if got := digest.SHA256.FromBytes(data); err == nil && got != ref.Digest {
		err = reason.New(reason.DigestMismatch, "the bytes hash to %s", got)
	}
	if err != nil {
		if r.damage == nil {
			r.damage = &Damage{ref.Digest, err}
		}
		return nil, r.damage
	}
	return data, nil
}

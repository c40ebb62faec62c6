package inputs

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Encode returns the one encoding of d: members in the order of the
// specification, no white space, absent ones left out. A document that breaks a
// rule of the format is an error with reason internal, or too-large.
func (d *Document) Encode() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, reason.New(reason.Internal, "encode inputs: %w", err)
	}
	data, err := d.marshal()
	if err != nil {
		return nil, fmt.Errorf("encode inputs: %w", err)
	}
	if len(data) > MaxBytes {
		return nil, reason.New(reason.TooLarge, "encode inputs: %d bytes, at most %d are allowed", len(data), MaxBytes)
	}
	return data, nil
}

func (d *Document) marshal() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(d)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// Parse reads an inputs document and refuses anything but its one encoding. The
// error has reason malformed or too-large.
func Parse(data []byte) (*Document, error) {
	d := &Document{}
	if err := strictjson.Unmarshal(data, d, strictjson.Limits{Bytes: MaxBytes, Depth: 6}); err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	if err := d.check(); err != nil {
		return nil, reason.New(reason.Malformed, "inputs: %w", err)
	}
	again, err := d.marshal()
	if err != nil || !bytes.Equal(again, data) {
		return nil, reason.New(reason.Malformed, "inputs: this is not the one encoding of its content")
	}
	return d, nil
}

// check holds a document against the rules of its question.
func (d *Document) check() error {
	if d.Version != Version {
		return fmt.Errorf("format v%d is not the v%d that this program reads", d.Version, Version)
	}
	if err := d.checkShape(); err != nil {
		return err
	}
	if err := d.checkTexts(); err != nil {
		return err
	}
	return d.checkRefs()
}

// checkShape says which members belong to which question.
func (d *Document) checkShape() error {
	order := d.Supplier != nil && d.Order != nil && d.History != nil && d.Deployment != ""
	nothing := d.Supplier == nil && d.Order == nil && d.History == nil && d.Deployment == "" && d.Renders == nil
	outcome := d.Decision.Outcome
	switch {
	case d.Question == Orders && nothing && outcome == Refused:
	case d.Question == Order && order:
	case d.Question == Recall && order && d.History.Previous == nil && outcome == Accepted:
	default:
		return fmt.Errorf("question %q with outcome %q has not the members that it has to have", d.Question, outcome)
	}
	switch {
	case outcome == Accepted && d.Decision == Decision{Outcome: Accepted} && len(d.Renders) > 0:
	case (outcome == Refused || outcome == Withheld && d.Renders == nil) && d.Decision.Reason.Valid() && d.Decision.Step != "":
	default:
		return fmt.Errorf("decision: outcome %q with reason %q at step %q", outcome, d.Decision.Reason, d.Decision.Step)
	}
	return nil
}

func (d *Document) checkTexts() error {
	texts := append([]string{d.Deployment, d.Device.ID, d.Decision.Step}, d.Device.Reserved...)
	for _, r := range d.Renders {
		texts = append(texts, r.Component)
	}
	for _, c := range d.channels() {
		for n, f := range c.Metadata {
			if texts = append(texts, f.Name); n > 0 && c.Metadata[n-1].Name >= f.Name {
				return fmt.Errorf("metadata: %q is out of order", f.Name)
			}
		}
	}
	for _, text := range texts {
		if len(text) > maxText {
			return fmt.Errorf("a text of %d bytes, at most %d are allowed", len(text), maxText)
		}
	}
	if d.Device.ID == "" {
		return fmt.Errorf("device.id is missing")
	}
	return nil
}

func (d *Document) checkRefs() error {
	for n, r := range d.Documents {
		if n > 0 && d.Documents[n-1].Digest >= r.Digest {
			return fmt.Errorf("documents: %s is out of order", r.Digest)
		}
	}
	refs := d.Refs()
	for _, u := range d.Unread {
		if !u.Reason.Valid() {
			return fmt.Errorf("unread: %q is no reason", u.Reason)
		}
		refs = append(refs, Ref{u.Digest, min(u.Size, MaxRef)}) // its size is what was asked for
	}
	if len(refs) > MaxRefs {
		return fmt.Errorf("%d documents are named, at most %d are allowed", len(refs), MaxRefs)
	}
	for _, c := range d.channels() {
		if err := checkRef(c.Root, 1); err != nil {
			return fmt.Errorf("root: %w", err)
		}
		if len(c.Metadata) == 0 {
			return fmt.Errorf("metadata is missing")
		}
	}
	var total int64
	for _, r := range refs {
		if err := checkRef(r.Digest, r.Size); err != nil {
			return err
		}
		total += r.Size
	}
	if total > MaxTotal {
		return fmt.Errorf("%d bytes are named, at most %d are allowed", total, MaxTotal)
	}
	return nil
}

func checkRef(d digest.Digest, size int64) error {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return err
	}
	if size < 0 || size > MaxRef {
		return fmt.Errorf("%s: %d bytes, want 0 to %d", d, size, MaxRef)
	}
	return nil
}

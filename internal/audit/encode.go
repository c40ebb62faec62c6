package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// encode returns the one encoding of e: its fields in the order of the struct,
// no spaces, absent fields left out, no escapes that JSON does not demand.
func (e *Event) encode() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	data := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(data) > MaxEvent {
		return nil, reason.New(reason.TooLarge, "encode event: %d bytes, at most %d are allowed", len(data), MaxEvent)
	}
	return data, nil
}

// DecodeEvent reads one event and refuses anything but its one encoding, so
// that no two readers can see different events in the same bytes. The error
// has reason malformed or too-large.
func DecodeEvent(data []byte) (Event, error) {
	if len(data) > MaxEvent {
		return Event{}, reason.New(reason.TooLarge, "event of %d bytes, at most %d are read", len(data), MaxEvent)
	}
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, reason.New(reason.Malformed, "event: %w", explain(data, err))
	}
	if err := e.check(); err != nil {
		return Event{}, reason.New(reason.Malformed, "event: %w", explain(data, err))
	}
	// Comparing the encodings refuses duplicate keys, unknown fields, other
	// spellings of a key, spaces and needless escapes, all in one.
	again, err := e.encode()
	if err != nil || !bytes.Equal(again, data) {
		return Event{}, reason.New(reason.Malformed, "event: %w", explain(data, errors.New("this is not the one encoding of its content")))
	}
	return e, nil
}

// explain prefers what the strict reader says about data: it names the field
// and the place.
func explain(data []byte, err error) error {
	if strict := strictjson.Unmarshal(data, new(Event), strictjson.Limits{Bytes: MaxEvent, Depth: 3}); strict != nil {
		return strict
	}
	return err
}

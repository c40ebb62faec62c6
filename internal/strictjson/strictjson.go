// Package strictjson reads JSON that others wrote, accepting one reading only.
//
// encoding/json takes the last of two equal keys, matches field names without
// regard to case, drops fields it does not know, replaces invalid UTF-8 and
// leaves a value untouched when the document says null. Two programs that
// decide over the same signed bytes must not differ on any of these, so all
// of them are refused here, before the standard decoder sees the document.
//
// [Unmarshal] is for documents of ours, [UnmarshalOpen] for those of others,
// of which we read a part; [Check] is for documents whose fields a library
// decodes.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"unicode/utf8"

	"github.com/consign-dev/consign/internal/reason"
)

// Limits bounds the work that one document may cause. The zero value of a
// field means the value of [Default].
type Limits struct {
	Bytes int // length of the document
	Depth int // nesting of objects and arrays
}

// Default suits manifests and metadata: an OCI registry is only required to
// accept manifests of 4 MiB (OCI Distribution Spec 1.1, Pushing Manifests),
// and no format read here nests deeper than 20.
var Default = Limits{Bytes: 4 << 20, Depth: 64}

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = Default.Bytes
	}
	if l.Depth <= 0 {
		l.Depth = Default.Depth
	}
	return l
}

// Check reports whether data is exactly one JSON value in valid UTF-8, without
// duplicate keys, within lim. The error has reason malformed or too-large.
func Check(data []byte, lim Limits) error { return check(data, nil, false, lim) }

// Unmarshal checks data as [Check] does and decodes it into out, a non-nil
// pointer. Unknown fields, fields in another case, and null where out has a
// scalar or a struct are refused with reason malformed; a null for a pointer,
// slice or map means that it is absent.
func Unmarshal(data []byte, out any, lim Limits) error { return unmarshal(data, out, strict, lim) }

// UnmarshalOpen is [Unmarshal] for a format that has more fields than out, such
// as an OCI manifest or the config of an image: unknown fields are dropped, and
// one that differs from a known one in case only is refused, which a lax
// reader would take for the known one.
func UnmarshalOpen(data []byte, out any, lim Limits) error { return unmarshal(data, out, open, lim) }

// UnmarshalNumbers is [Unmarshal] with numbers that out has no type for as
// json.Number, with all of their digits.
func UnmarshalNumbers(data []byte, out any, lim Limits) error {
	return unmarshal(data, out, numbers, lim)
}

// reading is how much of a document there is to be in the types that it is for.
type reading int

const (
	strict reading = iota
	open
	numbers
)

func unmarshal(data []byte, out any, how reading, lim Limits) error {
	t := reflect.TypeOf(out)
	if t == nil || t.Kind() != reflect.Pointer {
		return reason.New(reason.Internal, "decode JSON into %T: not a pointer", out)
	}
	if err := check(data, t.Elem(), how == open, lim); err != nil {
		return err
	}
	if err := decode(data, out, how); err != nil {
		return reason.New(reason.Malformed, "%w", decodeError(err))
	}
	return nil
}

func decode(data []byte, out any, how reading) error {
	if how == open {
		return json.Unmarshal(data, out)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if how == numbers {
		dec.UseNumber()
	}
	return dec.Decode(out)
}

func check(data []byte, t reflect.Type, open bool, lim Limits) error {
	lim = lim.orDefault()
	if len(data) > lim.Bytes {
		return reason.New(reason.TooLarge, "document of %d bytes, at most %d are read", len(data), lim.Bytes)
	}
	if !utf8.Valid(data) {
		return reason.New(reason.Malformed, "document is not valid UTF-8")
	}
	w := walker{text: string(data), depth: lim.Depth, open: open, keys: make([]string, 0, 2*fewKeys), place: make(place, 0, fewLevels)}
	if err := w.document(shapeOf(t)); err != nil {
		// Of a document that is none, nothing else is worth telling.
		if syntax := json.Unmarshal(data, new(anything)); syntax != nil {
			err = decodeError(syntax)
		}
		return reason.Wrap(reason.Malformed, err)
	}
	return nil
}

// anything accepts every syntactically valid document and keeps none of it.
type anything struct{}

func (*anything) UnmarshalJSON([]byte) error { return nil }

// maxShown bounds a value that stands in a message.
const maxShown = 100

func decodeError(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch) && len(mismatch.Value) > maxShown:
		clipped := *mismatch // a number of a megabyte would be there with all its digits
		clipped.Value = clipped.Value[:maxShown] + "..."
		return &clipped
	case errors.As(err, &syntax):
		return &positioned{offset: syntax.Offset, err: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("document ends early")
	default:
		return err
	}
}

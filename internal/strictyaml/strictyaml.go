// Package strictyaml reads the subset of YAML that every reader understands
// in one way.
//
// YAML lets a document say one thing to the program that checks it and
// another to the program that acts on it, and lets a kilobyte ask for
// gigabytes. What is read here is one UTF-8 document with
//
//   - string keys, each once per mapping; no merge keys (<<) and no tags;
//   - few aliases, bounded nesting and a bounded number of values, counted
//     after aliases are expanded;
//   - text where text is meant: a plain 1.0 or true in a text field is refused
//     and must be quoted, so that "1.10" never becomes 1.1;
//   - no plain scalar that YAML 1.1 and 1.2 readers take for different things
//     (yes, 0777, 1_000, 12:30:00, 2024-01-01) where the type is open.
//
// A field that the Go type does not have is refused with the nearest one that
// it has. Two interfaces let a type say more: [KeyChecker] and [Retirer].
//
// The trap: a type with its own UnmarshalYAML is handed its node unchecked
// but for the rules that [Node] holds.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/reason"
)

// Limits bounds the work that one document may cause. The zero value of a
// field means the value of [Default].
type Limits struct {
	Bytes   int // length of the document
	Depth   int // nesting of mappings and sequences
	Aliases int // alias nodes as written
	Nodes   int // values and keys after aliases are expanded
	// Merge allows merge keys (<<) of mappings. They are no part of YAML 1.2, and
	// only documents whose authors expect them may have them.
	Merge bool
}

// Default suits documents that people write: the largest description known to
// us has 300 lines, real ones nest to 12 and use no alias at all.
var Default = Limits{Bytes: 1 << 20, Depth: 40, Aliases: 20, Nodes: 50_000}

func (l Limits) orDefault() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Bytes, Default.Bytes)
	set(&l.Depth, Default.Depth)
	set(&l.Aliases, Default.Aliases)
	set(&l.Nodes, Default.Nodes)
	return l
}

// KeyChecker is implemented by the type of an inlined map: it says which of
// the keys that the struct does not name may be there. The error is a phrase
// that follows the name of the mapping.
type KeyChecker interface {
	CheckKey(key string) error
}

// Retirer is implemented by a struct that once had more fields. Retired says
// what became of a field, as a phrase that follows its name, and "" for a
// name that never was a field.
type Retirer interface {
	Retired(field string) string
}

// Node returns the root value of the one document in data after the checks
// that need no type. The error has reason malformed or too-large and names
// the line.
func Node(data []byte, lim Limits) (*yaml.Node, error) {
	lim = lim.orDefault()
	if len(data) > lim.Bytes {
		return nil, reason.New(reason.TooLarge, "document of %d bytes, at most %d are read", len(data), lim.Bytes)
	}
	if !utf8.Valid(data) {
		return nil, reason.New(reason.Malformed, "document is not valid UTF-8")
	}
	root, err := parse(data)
	if err != nil {
		return nil, reason.Wrap(reason.Malformed, err)
	}
	c := counter{lim: lim}
	if err := c.check(root, 0); err != nil {
		return nil, reason.Wrap(reason.Malformed, err)
	}
	return root, nil
}

// Unmarshal decodes the one document in data into out, a non-nil pointer. The
// error has reason malformed or too-large; it lists what does not fit, each
// with its line and path.
func Unmarshal(data []byte, out any, lim Limits) error {
	root, err := Node(data, lim)
	if err != nil {
		return err
	}
	return Decode(root, out)
}

// Decode is the part of [Unmarshal] that needs the type, for a document of which
// the [Node] is looked at, too.
func Decode(root *yaml.Node, out any) error {
	t := reflect.TypeOf(out)
	if t == nil || t.Kind() != reflect.Pointer {
		return reason.New(reason.Internal, "decode YAML into %T: not a pointer", out)
	}
	var f fitter
	f.fit(root, t.Elem(), "")
	if len(f.problems) > 0 {
		return reason.New(reason.Malformed, "%s", strings.Join(f.problems, "; "))
	}
	if err := root.Decode(out); err != nil {
		return reason.New(reason.Malformed, "%w", err)
	}
	return nil
}

func parse(data []byte) (root *yaml.Node, err error) {
	// The parser reports most faults as errors, but a few of its internal
	// checks panic; whatever the input, the caller gets an error.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, fmt.Errorf("not YAML: %v", p)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("document is empty")
		}
		return nil, err
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("line %d: a second document begins, one is read", second.Line)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("document is empty")
	}
	return doc.Content[0], nil
}

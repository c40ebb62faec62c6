package strictjson

import (
	"fmt"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/fields"
	"github.com/consign-dev/consign/internal/reason"
)

type positioned struct {
	offset int64
	err    error
}

func (e *positioned) Error() string { return fmt.Sprintf("byte %d: %v", e.offset, e.err) }
func (e *positioned) Unwrap() error { return e.err }

// walker reads a document once, beside the shape that it is meant to have. It
// allocates for what is wrong, and for keys that are escaped or many.
type walker struct {
	text  string
	at    int // the offset of the next byte
	depth int
	open  bool // structs need not know every field
	// keys are those of the objects that are being read, the innermost last.
	keys []string
	// place is that of the value that is being read.
	place place
}

const (
	// fewKeys are compared one by one.
	fewKeys = 16
	// fewLevels are what most documents have.
	fewLevels = 12
)

// document reads the one value that there is.
func (w *walker) document(s *shape) error {
	if err := w.value(s); err != nil {
		return err
	}
	if w.space(); w.at < len(w.text) {
		return errGrammar
	}
	return nil
}

func (w *walker) value(s *shape) error {
	if len(w.place) > w.depth {
		return reason.New(reason.TooLarge, "%s: nested deeper than %d", w.place, w.depth)
	}
	switch w.space() {
	case '{':
		return w.object(s)
	case '[':
		return w.array(s.element())
	case '"':
		_, _, err := w.quoted()
		return err
	case 't':
		return w.literal("true")
	case 'f':
		return w.literal("false")
	case 'n':
		if s != nil && !s.nullable {
			return fmt.Errorf("%s: is null, a value is needed", w.place)
		}
		return w.literal("null")
	default:
		return w.number()
	}
}

// inner reads a value one level further down.
func (w *walker) inner(s *shape, at step) error {
	w.place = append(w.place, at)
	err := w.value(s)
	w.place = w.place[:len(w.place)-1]
	return err
}

func (w *walker) object(s *shape) error {
	w.at++
	if w.space() == '}' {
		w.at++
		return nil
	}
	seen := keySet{first: len(w.keys)}
	for {
		w.space()
		key, err := w.key()
		if err != nil {
			return err
		}
		if !w.isNew(&seen, key) {
			return fmt.Errorf("%s: duplicate key %.100q", w.place, key)
		}
		child, err := w.member(s, key)
		if err != nil {
			return fmt.Errorf("%s: %w", w.place, err)
		}
		if w.space(); !w.take(':') {
			return errGrammar
		}
		if err := w.inner(child, step{key: key}); err != nil {
			return err
		}
		w.space()
		switch {
		case w.take(','):
		case w.take('}'):
			w.keys = w.keys[:seen.first]
			return nil
		default:
			return errGrammar
		}
	}
}

// keySet is the keys of one object: those in [walker.keys] from first on, as long
// as they are few.
type keySet struct {
	first int
	many  map[string]bool
}

// isNew adds a key to those of an object, unless it is one of them.
func (w *walker) isNew(s *keySet, key string) bool {
	own := w.keys[s.first:]
	if len(own) < fewKeys {
		if slices.Contains(own, key) {
			return false
		}
		w.keys = append(w.keys, key)
		return true
	}
	if s.many == nil {
		s.many = make(map[string]bool, 4*fewKeys)
		for _, k := range own {
			s.many[k] = true
		}
	}
	if s.many[key] {
		return false
	}
	s.many[key] = true
	return true
}

// member returns the shape of what stands under a key of an object.
func (w *walker) member(s *shape, key string) (*shape, error) {
	switch {
	case s == nil || s.list:
		return nil, nil
	case s.set == nil:
		return shapeOf(s.each), nil
	}
	child, ok := s.set.Lookup(key)
	if ok || w.open && !s.set.Imitated(key) {
		return shapeOf(child), nil
	}
	return nil, fmt.Errorf("%s", fields.Unknown("field", key, s.set.Names()))
}

func (w *walker) array(s *shape) error {
	w.at++
	if w.space() == ']' {
		w.at++
		return nil
	}
	for i := 0; ; i++ {
		if err := w.inner(s, step{index: i, element: true}); err != nil {
			return err
		}
		w.space()
		switch {
		case w.take(','):
		case w.take(']'):
			return nil
		default:
			return errGrammar
		}
	}
}

// place is where a value stands, from the document down. It is put into words for
// an error only: most documents have none.
type place []step

type step struct {
	key     string
	index   int
	element bool // of an array, at index
}

func (p place) String() string {
	var path strings.Builder
	for i, s := range p {
		switch {
		case s.element:
			fmt.Fprintf(&path, "[%d]", s.index)
		case i == 0:
			path.WriteString(s.key)
		default:
			path.WriteString("." + s.key)
		}
	}
	return show(path.String())
}

// show bounds a path, which holds keys that an attacker may have chosen.
func show(path string) string {
	const longest = 200
	switch {
	case path == "":
		return "document"
	case len(path) > longest:
		return fmt.Sprintf("%q...", path[:longest])
	case plain(path):
		return path
	default:
		return fmt.Sprintf("%q", path)
	}
}

func plain(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

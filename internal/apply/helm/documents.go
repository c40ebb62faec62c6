package helm

import (
	"iter"
	"path"
	"strings"
	"unicode/utf8"

	parser "go.yaml.in/yaml/v2" // the one that sigs.k8s.io/yaml wraps, for kubectl and Helm
	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

const (
	// maxDepth bounds the nesting of an object: with what is around it in a render
	// it stays below task.RenderLimits.
	maxDepth = 28
	// maxObjects, maxAliases and maxExpanded bound what few bytes may become.
	maxObjects  = 2000
	maxAliases  = 200
	maxExpanded = 200_000
)

// notes is what Helm prints after an installation; it is rendered, since charts
// check their values in it, and then left out.
const notes = "NOTES.txt"

// parseFile returns the objects of one rendered template, in its order.
func parseFile(file, text string) ([]*object, error) {
	if strings.TrimSpace(text) == "" || path.Base(file) == notes {
		return nil, nil
	}
	var list []*object
	for document := range documents(text) {
		raw, err := parseDocument(document)
		if err != nil {
			return nil, reason.Wrap(reason.Render, errAt(file, err))
		}
		if raw == nil {
			continue
		}
		o, err := newObject(file, raw)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

// documents splits a rendered template as Helm's releaseutil.SplitManifests does: at
// a --- that begins the text or a line, with all white space around it.
func documents(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		text, begin := strings.TrimSpace(text), 0
		for at := 0; ; at++ {
			next := strings.Index(text[at:], "---")
			if next < 0 {
				break
			}
			at += next
			if at > 0 && (at == begin || text[at-1] != '\n') {
				continue // what one separator has taken is not there for the next
			}
			if document := text[begin:at]; strings.Trim(document, blank) != "" && !yield(strings.TrimSpace(document)) {
				return
			}
			begin = len(text) - len(strings.TrimLeft(text[at+len("---"):], blank))
			at = begin - 1
		}
		if begin < len(text) {
			yield(strings.TrimSpace(text[begin:]))
		}
	}
}

// blank is what a regular expression of Go's takes for white space.
const blank = "\t\n\f\r "

// another is where a second document begins or the first ends, for any of the
// characters that YAML takes for the end of a line. A reader would silently stop
// there.
var another = lazyregexp.New("(^|[\n\r\u0085\u2028\u2029])(---|\\.\\.\\.)([ \t\n\r\u0085\u2028\u2029]|$)|(^|[\n\r\u0085\u2028\u2029])%[A-Z]")

// mayEndEarly is a quick way to say no.
func mayEndEarly(text string) bool {
	return strings.Contains(text, "---") || strings.Contains(text, "...") || strings.Contains(text, "%")
}

// parseDocument makes the one JSON object of a document, as kubectl and Helm
// would: with the same parser. Keys that are there twice are refused. It returns
// nil for a document with nothing in it.
func parseDocument(text string) (map[string]any, error) {
	if !utf8.ValidString(text) {
		return nil, reason.New(reason.Render, "not UTF-8")
	}
	if mayEndEarly(text) && another.MatchString(text) {
		return nil, reason.New(reason.Render, "more than one document between two lines of ---, or a directive")
	}
	if strings.Contains(text, "&") {
		if err := checkAliases(text); err != nil {
			return nil, err
		}
	}
	var tree any
	if err := parser.UnmarshalStrict([]byte(text), &tree); err != nil {
		return nil, reason.New(reason.Render, "not YAML: %.300v", err)
	}
	if tree == nil {
		return nil, nil
	}
	tree, err := asJSON(tree, 0)
	if err != nil {
		return nil, err
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return nil, reason.New(reason.Render, "not a Kubernetes object")
	}
	return object, nil
}

// checkAliases refuses a document that becomes much more than it is.
func checkAliases(text string) (err error) {
	defer func() {
		if p := recover(); p != nil { // some of the parser's own checks panic
			err = reason.New(reason.Render, "not YAML: %.300v", p)
		}
	}()
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return reason.New(reason.Render, "not YAML: %.300v", err)
	}
	var e expansion
	return e.add(&root, 0)
}

type expansion struct{ nodes, bytes, aliases int }

func (e *expansion) add(n *yaml.Node, depth int) error {
	e.nodes++
	e.bytes += len(n.Value)
	if n.Kind == yaml.AliasNode {
		e.aliases++
		n = n.Alias
	}
	if e.aliases > maxAliases || e.aliases > 0 && (e.nodes > maxExpanded || e.bytes > task.MaxRender) || depth > 4*maxDepth {
		return reason.New(reason.TooLarge, "aliases make too much of it")
	}
	for _, child := range n.Content {
		if err := e.add(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

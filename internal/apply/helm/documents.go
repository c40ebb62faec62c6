package helm

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/releaseutil"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/consign-dev/consign/internal/apply/task"
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
	split := releaseutil.SplitManifests(text)
	names := slices.Collect(maps.Keys(split))
	slices.SortFunc(names, func(a, b string) int {
		order := releaseutil.BySplitManifestsOrder{a, b}
		switch {
		case order.Less(0, 1):
			return -1
		case order.Less(1, 0):
			return 1
		}
		return 0
	})
	var list []*object
	for _, name := range names {
		raw, err := parseDocument(split[name])
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

// another is where a second document begins or the first ends, for any of the
// characters that YAML takes for the end of a line. A reader would silently stop
// there.
var another = regexp.MustCompile("(^|[\n\r\u0085\u2028\u2029])(---|\\.\\.\\.)([ \t\n\r\u0085\u2028\u2029]|$)|(^|[\n\r\u0085\u2028\u2029])%[A-Z]")

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
	data, err := k8syaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, reason.New(reason.Render, "not YAML: %.300v", err)
	}
	if string(data) == "null" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, reason.New(reason.Render, "%.300v", err)
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return nil, reason.New(reason.Render, "not a Kubernetes object")
	}
	if _, err := withoutNull(object, 0); err != nil {
		return nil, err
	}
	return object, nil
}

// withoutNull takes the keys out whose value is null, which in Kubernetes means
// that they are not there. In a list null stands for nothing.
func withoutNull(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, reason.New(reason.TooLarge, "nested deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if child == nil {
				delete(v, key)
			} else if _, err := withoutNull(child, depth+1); err != nil {
				return nil, err
			}
		}
	case []any:
		for _, child := range v {
			if child == nil {
				return nil, reason.New(reason.Render, "a list has an empty element")
			}
			if _, err := withoutNull(child, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
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

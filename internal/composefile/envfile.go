package composefile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
)

// maxEnvFile bounds an env file; a variable that does not fit into a page or
// two cannot be given to a process anyway.
const maxEnvFile = 1 << 20

func (in *inliner) envFile(f types.EnvFile) (map[string]string, error) {
	if f.Format != "" {
		return nil, reason.New(reason.Render, "%s: format %q is not supported", f.Path, f.Format)
	}
	data, err := in.find(f.Path)
	if err != nil {
		if !bool(f.Required) && reason.Is(err, reason.Render) {
			return nil, nil
		}
		return nil, err
	}
	if len(data) > maxEnvFile {
		return nil, reason.New(reason.TooLarge, "%s: %d bytes, at most %d are read", f.Path, len(data), maxEnvFile)
	}
	e := envReader{vars: in.vars, own: map[string]string{}, left: in.left}
	err = e.read(string(data))
	in.left = e.left
	if err != nil {
		return nil, reason.Wrap(reason.Render, fmt.Errorf("%s: %w", f.Path, err))
	}
	return e.own, nil
}

// envReader reads an env file one statement after the other. compose-go's
// reader takes a file at once, in which a few lines, each naming the one before
// twice, grow without bound.
type envReader struct {
	vars, own map[string]string
	left      int // bytes that values may still have
	search    int // spent of maxSearch
}

func (e *envReader) read(text string) error {
	for at, line := 0, 1; at < len(text); {
		end := at + statementEnd(text[at:])
		if err := e.statement(text[at:end], line); err != nil {
			return err
		}
		line += strings.Count(text[at:end], "\n")
		at = end
	}
	return nil
}

func (e *envReader) statement(text string, line int) error {
	variables := template.Mapping(func(name string) (string, bool) { return e.value(name) })
	if strings.Contains(text, "$") {
		if e.search += len(text) * strings.Count(text, "${"); e.search > maxSearch || nested(text) > maxNested {
			return reason.New(reason.TooLarge, "line %d: too many variables in a long text, or nested deeper than %d", line, maxNested)
		}
	}
	metered := meteredLookup{find: variables, left: e.left}
	missed := map[string]bool{}
	values, err := dotenv.UnmarshalWithLookup(text, func(name string) (string, bool) {
		v, ok := metered.lookup(name)
		missed[name] = missed[name] || !ok
		return v, ok
	})
	if metered.left < 0 {
		return reason.New(reason.TooLarge, "line %d: the variables grow to more than %d bytes", line, MaxContents)
	}
	if err != nil {
		return fmt.Errorf("from line %d on: %w", line, err)
	}
	if err := unresolved(text, line, missed); err != nil {
		return err
	}
	for name, value := range values {
		if e.left -= len(value); e.left < 0 {
			return reason.New(reason.TooLarge, "line %d: the variables grow to more than %d bytes", line, MaxContents)
		}
		e.own[name] = value
	}
	return nil
}

// value is that of a parameter, or what an earlier line set.
func (e *envReader) value(name string) (string, bool) {
	if v, ok := e.vars[name]; ok {
		return v, true
	}
	v, ok := e.own[name]
	return v, ok
}

// unresolved reports a variable that neither a value, nor an earlier line, nor
// a default resolves.
func unresolved(text string, line int, missed map[string]bool) error {
	if len(missed) == 0 {
		return nil
	}
	used := template.ExtractVariables(map[string]any{"file": text}, nil)
	for _, variable := range slices.Sorted(maps.Keys(missed)) {
		if u := used[variable]; missed[variable] && u.DefaultValue == "" && u.PresenceValue == "" {
			return reason.New(reason.Render, "line %d: variable %q %s", line, variable, noValue)
		}
	}
	return nil
}

// statementEnd is the length of the first statement, with blank lines and
// comments before it: up to the end of its line or of its quotes. A fuzz test
// compares the values with those that compose-go reads from the whole file.
func statementEnd(text string) int {
	at := skipBlank(text)
	sep := strings.IndexAny(text[at:], "=:\n")
	if sep < 0 {
		return len(text)
	}
	at += sep + 1
	if text[at-1] == '\n' {
		return at
	}
	for _, r := range text[at:] {
		if !inlineSpace(r) {
			break
		}
		at += len(string(r))
	}
	if at < len(text) && (text[at] == '"' || text[at] == '\'') {
		return at + quotedEnd(text[at:])
	}
	return at + lineEnd(text[at:])
}

// skipBlank passes over white space and comments.
func skipBlank(text string) int {
	at := 0
	for {
		at = len(text) - len(strings.TrimLeftFunc(text[at:], unicode.IsSpace))
		if at == len(text) || text[at] != '#' {
			return at
		}
		at += lineEnd(text[at:])
	}
}

func lineEnd(text string) int {
	if n := strings.IndexByte(text, '\n'); n >= 0 {
		return n + 1
	}
	return len(text)
}

// quotedEnd is the length of a quoted text with both its quotes.
func quotedEnd(text string) int {
	escaped := false
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == text[0] && !escaped:
			return i + 1
		case text[i] == '\\':
			escaped = !escaped
		default:
			escaped = false
		}
	}
	return len(text)
}

// inlineSpace is white space that does not end a line, as compose-go sees it.
func inlineSpace(r rune) bool { return strings.ContainsRune("\t\v\f\r \u0085\u00a0", r) }

package chartfile

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
)

// ignoreFile names files that are no part of a chart (Helm, The .helmignore file).
const ignoreFile = ".helmignore"

// ignore is what an ignore file says. Helm itself adds its first rule.
type ignore []ignoreRule

type ignoreRule struct {
	pattern string
	dir     bool // matches directories only
	whole   bool // matches the whole path, not the last name
}

func readIgnore(tree fs.FS) (ignore, error) {
	list := ignore{{pattern: "templates/.?*", whole: true}}
	text, err := readFile(tree, ignoreFile)
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		rule, err := parseRule(line)
		if err != nil {
			return nil, reason.New(reason.Malformed, "%s, line %d: %w", ignoreFile, n, err)
		}
		list = append(list, rule)
	}
	if err := lines.Err(); err != nil {
		return nil, reason.New(reason.Malformed, "%s: %w", ignoreFile, err)
	}
	return list, nil
}

func parseRule(line string) (ignoreRule, error) {
	if strings.HasPrefix(line, "!") {
		return ignoreRule{}, errors.New("a pattern with ! leaves out all that it does not match, and is not read here: name what is to be left out")
	}
	if strings.Contains(line, "**") {
		return ignoreRule{}, errors.New("** is not known to Helm either")
	}
	pattern, dir := strings.CutSuffix(line, "/")
	pattern, anchored := strings.CutPrefix(pattern, "/")
	r := ignoreRule{pattern: pattern, dir: dir, whole: anchored || strings.Contains(pattern, "/")}
	_, err := path.Match(pattern, "")
	return r, err
}

func (list ignore) match(name string, dir bool) bool {
	for _, r := range list {
		at := name
		if !r.whole {
			at = path.Base(name)
		}
		if ok, _ := path.Match(r.pattern, at); ok && (dir || !r.dir) {
			return true
		}
	}
	return false
}

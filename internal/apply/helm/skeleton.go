package helm

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

var (
	pemBlock  = lazyregexp.New(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----`)
	wordBreak = lazyregexp.New(`[\s@"',;:{}]+`)
)

// keepable reports whether the value before can stand where the new one does. In
// a text that is only partly made anew, such as a file of settings with one
// password, the rest must be what it was: what has changed in a new version of
// the chart, or in the order, has to arrive.
func (s *secret) keepable() bool {
	a, b, old := words(s.a), words(s.b), words(s.old)
	if len(a) != len(b) {
		return true // all of it varies, even its form
	}
	constant := false
	for i := range a {
		constant = constant || a[i] == b[i]
	}
	if !constant {
		return true
	}
	if len(old) != len(a) {
		return false
	}
	for i := range a {
		if a[i] == b[i] && a[i] != old[i] {
			return false
		}
	}
	return true
}

// words splits a text; certificates and keys, of whatever length, are no words.
func words(text string) []string {
	return slices.DeleteFunc(wordBreak.Split(pemBlock.ReplaceAllString(text, " "), -1), func(w string) bool { return w == "" })
}

// hexSum is how the sums of a template function look, also when cut.
var hexSum = lazyregexp.New(`^[0-9a-f]{16,128}$`)

// isSum reports whether a field is a sum over content, by its place and form: an
// annotation or label of a pod template.
func (f *field) isSum() bool {
	path, ok := f.object.templatePath()
	return ok && len(f.tokens) == len(path)+3 && f.tokens[len(path)] == "metadata" &&
		len(f.a) == len(f.b) && hexSum.MatchString(f.a) && hexSum.MatchString(f.b)
}

// contentSum is a sum, 128 hexadecimal digits long, over all Secrets and
// ConfigMaps of a render. It cannot be told which of them a template meant: so
// pods restart when any of them changes, and not when none does.
func contentSum(list []*object) string {
	var content []*object
	for _, o := range list {
		if o.group == "" && (o.kind == "Secret" || o.kind == "ConfigMap") {
			content = append(content, o)
		}
	}
	arrange(content)
	sum := sha512.New()
	enc := json.NewEncoder(sum)
	for _, o := range content {
		_ = enc.Encode([]any{o.id(), o.namespace, o.raw["data"], o.raw["stringData"], o.raw["binaryData"]}) // plain JSON into a hash cannot fail
	}
	return hex.EncodeToString(sum.Sum(nil))
}

package strictyaml

import (
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// The spellings of numbers that YAML 1.1, YAML 1.2 and JSON readers agree on.
var (
	decimalInt   = lazyregexp.New(`^-?(0|[1-9][0-9]*)$`)
	decimalFloat = lazyregexp.New(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
)

// Plain text for a YAML 1.2 reader, a boolean or a base 60 number for a YAML
// 1.1 reader (yaml.org/type/bool.html, int.html, float.html), or a number too
// large to be one.
var (
	oldBool   = lazyregexp.New(`^([yY]|[nN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF)$`)
	base60    = lazyregexp.New(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)
	anyNumber = lazyregexp.New(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// ambiguous reports whether readers disagree about the type of a scalar.
func ambiguous(n *yaml.Node) bool {
	if n.Style&quoted != 0 {
		return false
	}
	switch n.Tag {
	case "!!null", "!!bool":
		return false
	case "!!int":
		return !decimalInt.MatchString(n.Value)
	case "!!float":
		return !decimalFloat.MatchString(n.Value)
	case "!!str":
		return oldBool.MatchString(n.Value) || base60.MatchString(n.Value) || anyNumber.MatchString(n.Value)
	default: // !!timestamp, !!merge
		return true
	}
}

// mismatch says what a scalar of Go kind k must be, "" when n is that.
func mismatch(n *yaml.Node, k reflect.Kind) string {
	scalar := n.Kind == yaml.ScalarNode
	switch k {
	case reflect.String:
		switch {
		case scalar && n.Tag == "!!str":
			return ""
		case scalar && n.Tag != "!!null":
			return "text: write it in quotes"
		}
		return "text"
	case reflect.Bool:
		if scalar && n.Tag == "!!bool" {
			return ""
		}
		return "true or false, without quotes"
	case reflect.Float32, reflect.Float64:
		if scalar && (n.Tag == "!!float" || n.Tag == "!!int") && decimalFloat.MatchString(n.Value) {
			return ""
		}
		return "a decimal number, without quotes"
	default:
		if scalar && n.Tag == "!!int" && decimalInt.MatchString(n.Value) {
			return ""
		}
		return "a whole decimal number, without quotes"
	}
}

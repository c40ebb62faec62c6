package strictyaml

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// fraction is the one spelling of a fraction in which no reader loses anything.
var fraction = lazyregexp.New(`^[-+]?[0-9]{0,15}\.[0-9]{1,15}$`)

// Numbers refuses plain scalars below n whose value depends on who reads them:
// 1e3 and 99999999999999999999, which become 0 or a negative number where a
// whole one is wanted, infinities, and dates. It is for documents whose other
// fields a library decodes; [Unmarshal] is stricter. The reason is malformed.
func Numbers(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Style&quoted == 0 && !exact(n) {
		return reason.New(reason.Malformed, "line %d: %.60q means different things to different readers: write it in quotes, or as a decimal number of at most 64 bits", n.Line, n.Value)
	}
	for _, child := range n.Content {
		if err := Numbers(child); err != nil {
			return err
		}
	}
	return nil
}

func exact(n *yaml.Node) bool {
	switch n.Tag {
	case "!!int":
		_, err := strconv.ParseInt(n.Value, 0, 64)
		return err == nil
	case "!!float":
		return fraction.MatchString(n.Value)
	default:
		return n.Tag != "!!timestamp"
	}
}

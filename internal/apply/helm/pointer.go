package helm

import (
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
)

const (
	maxPointer = 512
	maxSteps   = 16
	// maxIndex bounds a list that is written element by element.
	maxIndex = 1023
)

// step is one part of a pointer: a key of a mapping, or an index of a list.
type step struct {
	key   string
	index int // -1 for a key
}

// parsePointer reads a Margo pointer into values.yaml: keys with dots between
// them, each with any number of [index] behind it, as in Helm's --set. A
// backslash takes the meaning from the punctuation after it. What --set would
// take for more than a name (=, a comma, a brace) has to have one.
func parsePointer(p string) ([]step, error) {
	bad := func(why string) ([]step, error) {
		return nil, reason.New(reason.Malformed, "pointer %.200q: %s", p, why)
	}
	if len(p) > maxPointer {
		return bad("too long")
	}
	var steps []step
	var key strings.Builder
	for i := 0; i < len(p); {
		key.Reset()
		for ; i < len(p) && p[i] != '.' && p[i] != '['; i++ {
			switch c := p[i]; {
			case c == '\\' && i+1 < len(p) && strings.IndexByte(`.[]{},=\"`, p[i+1]) >= 0:
				i++
				key.WriteByte(p[i])
			case c < ' ' || c == 0x7f || strings.IndexByte(`]{},=\"`, c) >= 0:
				return bad(`a character that --set would not take for part of a name: put \ in front of punctuation`)
			default:
				key.WriteByte(c)
			}
		}
		if key.Len() == 0 {
			return bad("an empty name")
		}
		steps = append(steps, step{key.String(), -1})
		for i < len(p) && p[i] == '[' {
			end := strings.IndexByte(p[i:], ']')
			if end < 0 {
				return bad("[ without ]")
			}
			n, err := strconv.ParseUint(p[i+1:i+end], 10, 32)
			if err != nil || n > maxIndex || p[i+1:i+end] != strconv.FormatUint(n, 10) {
				return bad("an index must be a number from 0 to " + strconv.Itoa(maxIndex))
			}
			steps = append(steps, step{index: int(n)})
			i += end + 1
		}
		if i == len(p) {
			break
		}
		if p[i] != '.' || i+1 == len(p) {
			return bad("a dot and a name must follow")
		}
		i++
	}
	if len(steps) == 0 || len(steps) > maxSteps {
		return bad("no name, or too many of them")
	}
	return steps, nil
}

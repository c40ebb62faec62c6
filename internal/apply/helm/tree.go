package helm

import (
	"encoding/json"
	"maps"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/consign-dev/consign/internal/reason"
)

// asJSON turns what the parser read into what JSON can say: the same that
// sigs.k8s.io/yaml makes of it for kubectl and Helm, without writing it and reading
// it back. Keys whose value is null are left out, which in Kubernetes means that
// they are not there. In a list null stands for nothing.
func asJSON(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, reason.New(reason.TooLarge, "nested deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case map[any]any:
		return asObject(v, depth)
	case []any:
		for i, item := range v {
			if item == nil {
				return nil, reason.New(reason.Render, "a list has an empty element")
			}
			var err error
			if v[i], err = asJSON(item, depth+1); err != nil {
				return nil, err
			}
		}
		return v, nil
	case nil, bool:
		return v, nil
	case string:
		return asText(v), nil
	case int:
		return json.Number(strconv.Itoa(v)), nil
	default:
		data, err := json.Marshal(v)
		if err != nil {
			return nil, reason.New(reason.Render, "not a value that JSON has: %.100v", v)
		}
		return json.Number(data), nil
	}
}

// asObject refuses two keys that become one, such as 1 and "1".
func asObject(mapping map[any]any, depth int) (map[string]any, error) {
	object, nulls := make(map[string]any, len(mapping)), false
	for k, v := range mapping {
		key, err := asKey(k)
		if err != nil {
			return nil, err
		}
		if _, twice := object[key]; twice {
			return nil, reason.New(reason.Render, "key %.100q is there twice", key)
		}
		nulls = nulls || v == nil
		if object[key], err = asJSON(v, depth+1); err != nil {
			return nil, err
		}
	}
	if nulls {
		maps.DeleteFunc(object, func(_ string, v any) bool { return v == nil })
	}
	return object, nil
}

func asKey(k any) (string, error) {
	switch k := k.(type) {
	case string:
		return asText(k), nil
	case bool:
		return strconv.FormatBool(k), nil
	case int:
		return strconv.Itoa(k), nil
	case int64: // where an int has 32 bits
		return strconv.FormatInt(k, 10), nil
	case float64:
		return asFloatKey(k), nil
	default:
		return "", reason.New(reason.Render, "key %.100v: must be a text, a number, true or false", k)
	}
}

// asFloatKey writes a floating number as YAML does.
func asFloatKey(f float64) string {
	switch {
	case math.IsNaN(f):
		return ".nan"
	case math.IsInf(f, 1):
		return ".inf"
	case math.IsInf(f, -1):
		return "-.inf"
	default:
		return strconv.FormatFloat(f, 'g', -1, 32)
	}
}

// asText: a text that is no UTF-8 (of !!binary) has U+FFFD for each byte that is
// none, as in encoding/json.
func asText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

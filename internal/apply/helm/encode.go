package helm

import (
	"encoding/json"
	"maps"
	"slices"
)

// appendJSON writes a tree as json.Marshal does, with sorted keys and without white
// space. Most of a tree is mappings and plain text, of which encoding/json asks what
// they are at each of them.
func appendJSON(to []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendText(to, v)
	case map[string]any:
		return appendObject(to, v)
	case []any:
		return appendList(to, v)
	default:
		return appendOther(to, v)
	}
}

func appendObject(to []byte, object map[string]any) (_ []byte, err error) {
	if object == nil {
		return append(to, "null"...), nil
	}
	to = append(to, '{')
	for i, key := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			to = append(to, ',')
		}
		if to, err = appendText(to, key); err != nil {
			return nil, err
		}
		if to, err = appendJSON(append(to, ':'), object[key]); err != nil {
			return nil, err
		}
	}
	return append(to, '}'), nil
}

func appendList(to []byte, list []any) (_ []byte, err error) {
	if list == nil {
		return append(to, "null"...), nil
	}
	to = append(to, '[')
	for i, item := range list {
		if i > 0 {
			to = append(to, ',')
		}
		if to, err = appendJSON(to, item); err != nil {
			return nil, err
		}
	}
	return append(to, ']'), nil
}

// appendText leaves texts with something to escape to encoding/json.
func appendText(to []byte, text string) ([]byte, error) {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return appendOther(to, text)
		}
	}
	to = append(append(to, '"'), text...)
	return append(to, '"'), nil
}

func appendOther(to []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(to, data...), err
}

package margo

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// A value is a string, bool, int64, float64 or a list ([]any) of these; a
// uint64 above the range of int64 passes through extensions only.

// largestExact is the largest magnitude up to which float64 holds every whole
// number.
const largestExact = 1 << 53

// normalise gives every number one Go type, whatever way it was written, so
// that parsed values can be compared: whole numbers are int64.
func normalise(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= largestExact {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = normalise(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = normalise(v[k])
		}
	}
	return v
}

// The data types of a configuration schema (Margo 1.0.0-rc.3, Schema).
const (
	typeString  = "string"
	typeInteger = "integer"
	typeDouble  = "double"
	typeBoolean = "boolean"
)

// elementType returns T of "array[T]".
func elementType(dataType string) (string, bool) {
	inner, ok := strings.CutPrefix(dataType, "array[")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(inner, "]")
}

func scalarType(t string) bool {
	return t == typeString || t == typeInteger || t == typeDouble || t == typeBoolean
}

var decimal = lazyregexp.New(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// coerce returns v as a scalar of type t. Text that is exactly the canonical
// form of a number or boolean is read as that. The error is a phrase about v
// that does not repeat it: few may know what is ordered for a device.
func coerce(v any, t string) (any, error) {
	switch t {
	case typeString:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, errors.New("is not text: write it in quotes")
	case typeBoolean:
		return coerceBool(v)
	case typeInteger:
		return coerceInteger(v)
	case typeDouble:
		return coerceDouble(v)
	}
	return nil, fmt.Errorf("type %.40q is not known", t)
}

func coerceBool(v any) (any, error) {
	switch v {
	case true, "true":
		return true, nil
	case false, "false":
		return false, nil
	}
	return nil, errors.New("is not true or false")
}

func coerceInteger(v any) (any, error) {
	if s, ok := v.(string); ok && decimal.MatchString(s) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
	}
	if n, ok := v.(int64); ok {
		return n, nil
	}
	return nil, errors.New("is not a whole number of 64 bits")
}

func coerceDouble(v any) (any, error) {
	switch n := v.(type) {
	case int64:
		return float64(n), nil
	case float64:
		return n, nil
	case string:
		if f, err := strconv.ParseFloat(n, 64); err == nil && decimal.MatchString(n) {
			return f, nil
		}
	}
	return nil, errors.New("is not a decimal number")
}

// typeOf is the data type of a value that no schema describes.
func typeOf(v any) string {
	switch v := v.(type) {
	case bool:
		return typeBoolean
	case int64:
		return typeInteger
	case float64:
		return typeDouble
	case []any:
		if len(v) > 0 {
			return "array[" + typeOf(v[0]) + "]"
		}
		return "array[string]"
	default:
		return typeString
	}
}

// text is a scalar as an environment variable holds it: true or false, and
// the shortest decimal notation of a number, never an exponent.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// show is a value for a message: short, and quoted when it is text.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "no value"
	case string:
		return fmt.Sprintf("%.60q", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return text(v)
}

package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// accept makes a rule of a predicate and what it wants in words.
func accept(want string, harmless func(v any) bool) rule {
	return func(w *walk, path string, v any) {
		if !harmless(v) {
			w.ask(path, "must be %s, not %s", want, show(v))
		}
	}
}

var (
	text     = accept("text", func(v any) bool { _, ok := v.(string); return ok })
	someText = accept("text that is not empty", func(v any) bool { s, ok := v.(string); return ok && s != "" })
	flag     = accept("true or false", func(v any) bool { _, ok := v.(bool); return ok })

	emptyObject = accept("empty", func(v any) bool { o, ok := v.(map[string]any); return ok && len(o) == 0 })

	positive = accept("a positive number", func(v any) bool {
		n, ok := v.(json.Number)
		f, err := strconv.ParseFloat(n.String(), 64)
		return ok && err == nil && f > 0 && !math.IsInf(f, 0)
	})
)

func only(value bool) rule {
	return accept(strconv.FormatBool(value), func(v any) bool { return v == value })
}

func oneOf(values ...string) rule {
	return accept(strings.Join(values, " or "), func(v any) bool {
		s, ok := v.(string)
		return ok && slices.Contains(values, s)
	})
}

func matching(pattern, want string) rule {
	re := regexp.MustCompile(pattern)
	return accept(want, func(v any) bool { s, ok := v.(string); return ok && re.MatchString(s) })
}

func between(low, high int64) rule {
	return accept(fmt.Sprintf("a whole number from %d to %d", low, high), func(v any) bool {
		n, ok := v.(json.Number)
		i, err := strconv.ParseInt(n.String(), 10, 64)
		return ok && err == nil && i >= low && i <= high
	})
}

// decimalText is between for numbers that Compose keeps as text. Ranges,
// signs and leading zeros, which others may read differently, are refused.
func decimalText(low, high int64) rule {
	return accept(fmt.Sprintf("one whole number from %d to %d", low, high), func(v any) bool {
		s, ok := v.(string)
		i, err := strconv.ParseInt(s, 10, 64)
		return ok && err == nil && i >= low && i <= high && strconv.FormatInt(i, 10) == s
	})
}

// byteCount: compose-go writes sizes as decimal text; minus one would mean no
// limit.
var byteCount = decimalText(1, math.MaxInt64)

// durationUpTo accepts what compose-go writes, such as "1m30s".
func durationUpTo(most time.Duration) rule {
	return accept(fmt.Sprintf("a duration of at most %s", most), func(v any) bool {
		s, ok := v.(string)
		d, err := time.ParseDuration(s)
		return ok && err == nil && d >= 0 && d <= most
	})
}

var duration = durationUpTo(math.MaxInt64)

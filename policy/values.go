package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// accept makes a rule of a predicate and what it demands in words.
func accept(demand string, harmless func(v any) bool) rule {
	return rule{check: func(w *walk, at place, v any) {
		if !harmless(v) {
			w.ask(at, demand, show(v))
		}
	}}
}

var (
	text     = accept("must be text", func(v any) bool { _, ok := v.(string); return ok })
	someText = accept("must be text that is not empty", func(v any) bool { s, ok := v.(string); return ok && s != "" })
	flag     = accept("must be true or false", func(v any) bool { _, ok := v.(bool); return ok })
)

func oneOf(values ...string) rule {
	return accept("must be "+strings.Join(values, " or "), func(v any) bool {
		s, ok := v.(string)
		return ok && slices.Contains(values, s)
	})
}

func matching(pattern, want string) rule {
	re := lazyregexp.New(pattern)
	return accept("must be "+want, func(v any) bool { s, ok := v.(string); return ok && re.MatchString(s) })
}

// whole is v as a whole number.
func whole(v any) (int64, bool) {
	n, ok := v.(json.Number)
	i, err := strconv.ParseInt(n.String(), 10, 64)
	return i, ok && err == nil
}

// decimal is v as a number above zero.
func decimal(v any) (float64, bool) {
	n, ok := v.(json.Number)
	f, err := strconv.ParseFloat(n.String(), 64)
	return f, ok && err == nil && f > 0 && !math.IsInf(f, 0)
}

// wholeText is v as a whole number that Compose keeps as text. Ranges, signs
// and leading zeros, which others may read differently, are none.
func wholeText(v any) (int64, bool) {
	s, ok := v.(string)
	i, err := strconv.ParseInt(s, 10, 64)
	return i, ok && err == nil && strconv.FormatInt(i, 10) == s
}

func between(low, high int64) rule {
	return accept(fmt.Sprintf("must be a whole number from %d to %d", low, high), func(v any) bool {
		i, ok := whole(v)
		return ok && i >= low && i <= high
	})
}

// decimalText is between for numbers that Compose keeps as text.
func decimalText(low, high int64) rule {
	return accept(fmt.Sprintf("must be one whole number from %d to %d", low, high), func(v any) bool {
		i, ok := wholeText(v)
		return ok && i >= low && i <= high
	})
}

// durationUpTo accepts what compose-go writes, such as "1m30s".
func durationUpTo(most time.Duration) rule {
	return accept(fmt.Sprintf("must be a duration of at most %s", most), func(v any) bool {
		s, ok := v.(string)
		d, err := time.ParseDuration(s)
		return ok && err == nil && d >= 0 && d <= most
	})
}

var duration = durationUpTo(math.MaxInt64)

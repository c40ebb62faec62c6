package verify_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// places are all values of a JSON document, each with a way to replace it.
func places(v any, path string, put func(any), visit func(path string, now any, put func(any))) {
	if put != nil {
		visit(path, v, put)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, in := range v {
			places(in, path+"."+name, func(to any) { v[name] = to }, visit)
		}
	case []any:
		for n, in := range v {
			places(in, fmt.Sprintf("%s[%d]", path, n), func(to any) { v[n] = to }, visit)
		}
	}
}

// spoilt are values in the place of one that was good.
func spoilt(now any) []any {
	out := []any{nil, "", "AAAA", 0, -1, 1e30, true, []any{}, map[string]any{}, []any{nil}, []any{map[string]any{}}}
	if text, ok := now.(string); ok {
		out = append(out, text+text, text[:len(text)/2], "18446744073709551615")
		if data, err := base64.StdEncoding.DecodeString(text); err == nil && len(data) > 8 {
			for _, n := range []int{1, 4, len(data) / 2, len(data) - 1} {
				out = append(out, base64.StdEncoding.EncodeToString(data[:n]))
			}
			out = append(out, flipped(text))
		}
	}
	return out
}

// stumbled reports a panic that was contained.
func stumbled(err error) bool { return err != nil && strings.Contains(err.Error(), "stumbled over it") }

// TestAttackS16MalformedBundles replaces each value of a genuine bundle, one after
// the other, by every kind of nonsense. No library panics, and nobody is named who
// did not sign.
func TestAttackS16MalformedBundles(t *testing.T) {
	root := ok(verify.ParseTrustedRoot(golden(t, "trusted_root")))
	accepted := verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": root}}
	tried, other := 0, elsewhere(t)
	var doc map[string]any
	if err := json.Unmarshal(golden(t, "tag"), &doc); err != nil {
		t.Fatal(err)
	}
	places(doc, "", nil, func(path string, now any, put func(any)) {
		for _, to := range spoilt(now) {
			put(to)
			tried++
			e, err := verify.ParseEvidence(encode(doc))
			if err == nil {
				_, err = e.CheckSignature(other, accepted)
			}
			if err == nil || stumbled(err) || !reason.Of(err).Valid() || reason.Is(err, reason.Internal) {
				t.Errorf("%s is %.100v: %.300v", path, to, err)
			}
		}
		put(now)
	})
	if tried < 400 {
		t.Errorf("only %d bundles were tried", tried)
	}
}

// TestAttackS16PanicIsARefusal: what a library panics over does not count as
// evidence, and says so; the next is judged. A trusted root that holds nothing
// stands for the library's defect: every look at it is one.
func TestAttackS16PanicIsARefusal(t *testing.T) {
	broken := verify.Accepted{Roots: map[string]*verify.TrustedRoot{"private": {}}}
	e := ok(verify.ParseEvidence(golden(t, "tag")))
	got, err := e.CheckSignature(signed, broken)
	if !reason.Is(err, reason.Malformed) || !stumbled(err) || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := checkCertified(golden(t, "tag"), golden(t, "trusted_root"), signed); err != nil {
		t.Errorf("the next: %v", err)
	}
}

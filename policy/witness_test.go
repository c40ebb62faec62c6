package policy_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// witnessKey is the verifier key of a witness.
func witnessKey(name string, kind byte, key string) string {
	typed := append([]byte{kind}, key...)
	sum := sha256.Sum256([]byte(name + "\n" + string(typed)))
	return fmt.Sprintf("%s+%s+%s", name, hex.EncodeToString(sum[:4]), base64.StdEncoding.EncodeToString(typed))
}

// watched is a policy with this after "witnesses:".
func watched(text string) []byte {
	return []byte("apiVersion: consign.dev/v1alpha1\nkind: TrustPolicy\ntrustedRoots:\n  public:\n    file: trusted_root.json\n    witnesses:" + text + "\n")
}

func TestWitnesses(t *testing.T) {
	one, two := witnessKey("one.example", 4, strings.Repeat("1", 32)), witnessKey("two.example", 4, strings.Repeat("2", 32))
	p, err := policy.Parse(watched(fmt.Sprintf(" {threshold: 2, keys: [%q, %q]}", one, two)))
	if err != nil {
		t.Fatal(err)
	}
	if w := p.TrustedRoots["public"].Witnesses; w == nil || w.Threshold != 2 || len(w.Keys) != 2 {
		t.Errorf("%+v", w)
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                {"", "empty"},
		"null":                   {" null", "empty"},
		"empty":                  {" {}", "threshold"},
		"no keys":                {" {threshold: 1, keys: []}", "threshold"},
		"no threshold":           {fmt.Sprintf(" {keys: [%q]}", one), "threshold"},
		"zero":                   {fmt.Sprintf(" {threshold: 0, keys: [%q]}", one), "threshold"},
		"negative":               {fmt.Sprintf(" {threshold: -1, keys: [%q]}", one), "threshold"},
		"too high":               {fmt.Sprintf(" {threshold: 3, keys: [%q, %q]}", one, two), "threshold"},
		"twice":                  {fmt.Sprintf(" {threshold: 2, keys: [%q, %q]}", one, one), "keys[1]"},
		"one key, two names":     {fmt.Sprintf(" {threshold: 2, keys: [%q, %q]}", one, witnessKey("two.example", 4, strings.Repeat("1", 32))), "keys[1]"},
		"one name, two keys":     {fmt.Sprintf(" {threshold: 2, keys: [%q, %q]}", one, witnessKey("one.example", 4, strings.Repeat("2", 32))), "keys[1]"},
		"key of a log":           {fmt.Sprintf(" {threshold: 1, keys: [%q]}", witnessKey("one.example", 1, strings.Repeat("1", 32))), "cosignature/v1"},
		"hash of another":        {fmt.Sprintf(" {threshold: 1, keys: [%q]}", strings.Replace(one, one[12:20], "00000000", 1)), "hash"},
		"short key":              {fmt.Sprintf(" {threshold: 1, keys: [%q]}", witnessKey("one.example", 4, "1")), "verifier key"},
		"no key":                 {" {threshold: 1, keys: [one.example]}", "verifier key"},
		"a field of a mistake":   {fmt.Sprintf(" {treshold: 1, keys: [%q]}", one), "treshold"},
		"too many":               {" {threshold: 1, keys: [" + strings.TrimSuffix(strings.Repeat("a, ", 33), ", ") + "]}", "at most"},
		"space in the name":      {fmt.Sprintf(" {threshold: 1, keys: [%q]}", witnessKey("one example", 4, strings.Repeat("1", 32))), "verifier key"},
		"control in the name":    {fmt.Sprintf(" {threshold: 1, keys: [%q]}", witnessKey("one\x00", 4, strings.Repeat("1", 32))), ""},
		"a list in the place of": {" [a]", "witnesses"},
	} {
		_, err := policy.Parse(watched(c.text))
		if !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// FuzzWitnesses: a key that is read is that of one witness, of the one type.
func FuzzWitnesses(f *testing.F) {
	f.Add(witnessKey("one.example", 4, strings.Repeat("1", 32)))
	f.Add(witnessKey("one.example", 1, strings.Repeat("1", 32)))
	f.Add(witnessKey("one.example", 6, strings.Repeat("1", 1312)))
	f.Add("a+00000000+BA==")
	f.Fuzz(func(t *testing.T, key string) {
		verifiers, err := (&policy.Witnesses{Threshold: 1, Keys: []string{key}}).Verifiers()
		if err != nil {
			return
		}
		if v := verifiers[0]; !strings.HasPrefix(key, fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash())) {
			t.Errorf("%q is read as %s %08x", key, v.Name(), v.KeyHash())
		}
		if _, err := (&policy.Witnesses{Threshold: 2, Keys: []string{key, key}}).Verifiers(); err == nil {
			t.Errorf("%q counts twice", key)
		}
	})
}

package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// TestAttackS7Subjects: a statement is about what it names by one SHA-256, and
// about few things (S7, S8).
func TestAttackS7Subjects(t *testing.T) {
	one := `{"name":"a","digest":{"sha256":"` + strings.Repeat("1", 64) + `"}}`
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	with := func(subjects string) []byte {
		return []byte(fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[%s],"predicateType":"https://x.example/y","predicate":{}}`, subjects))
	}
	got, err := verify.ReadUnverified(with(many(3)))
	if err != nil || len(got.Subjects) != 3 || got.Signed || got.PredicateType != "https://x.example/y" {
		t.Errorf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		data []byte
		code reason.Code
	}{
		"none":               {with(""), reason.Signature},
		"too many":           {with(many(1025)), reason.Signature},
		"S7: ten thousand":      {with(many(10000)), reason.TooLarge},
		"no digest":          {with(`{"name":"a","digest":{}}`), reason.Signature},
		"S8: SHA-1":          {with(`{"name":"a","digest":{"sha1":"` + strings.Repeat("1", 40) + `"}}`), reason.Signature},
		"S8: SHA-1 beside":   {with(`{"name":"a","digest":{"sha256":"` + strings.Repeat("1", 64) + `","sha1":"x"}}`), reason.Signature},
		"S8: SHA-512 beside": {with(`{"name":"a","digest":{"sha256":"` + strings.Repeat("1", 64) + `","sha512":"x"}}`), reason.Signature},
		"short":              {with(`{"name":"a","digest":{"sha256":"11"}}`), reason.Signature},
		"capitals":           {with(`{"name":"a","digest":{"sha256":"` + strings.Repeat("A", 64) + `"}}`), reason.Signature},
		"one bad of two":     {with(one + `,{"name":"b","digest":{"sha256":"11"}}`), reason.Signature},
		"two payloads":       {append(with(one), with(one)...), reason.Malformed},
		"case":               {[]byte(strings.Replace(string(with(one)), `"subject"`, `"Subject"`, 1)), reason.Malformed},
		"twice":              {[]byte(strings.Replace(string(with(one)), `"_type"`, `"predicateType":"https://a.example","_type"`, 1)), reason.Malformed},
		"old type":           {[]byte(strings.Replace(string(with(one)), "Statement/v1", "Statement/v0.1", 1)), reason.Malformed},
		"nothing":            {nil, reason.Malformed},
		"null":               {[]byte("null"), reason.Malformed},
	} {
		if got, err := verify.ReadUnverified(c.data); !reason.Is(err, c.code) {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, c.code)
		}
	}
	got, err = verify.ReadUnverified(golden(t, "another-kind"))
	if err != nil || !got.Signed || got.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("a signed one: %+v, %v", got, err)
	}
}

func FuzzReadUnverified(f *testing.F) {
	f.Add(golden(f, "another-kind"))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + strings.Repeat("1", 64) + `"}}],"predicateType":"x","predicate":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := verify.ReadUnverified(data)
		if err == nil && len(got.Subjects) == 0 {
			t.Errorf("about nothing: %s", data)
		}
	})
}

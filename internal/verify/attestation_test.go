package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

// oneSubject is a good subject.
var oneSubject = `{"name":"a","digest":{"sha256":"` + strings.Repeat("1", 64) + `"}}`

// about is a statement with subjects.
func about(subjects string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[%s],"predicateType":"https://x.example/y","predicate":{}}`, subjects)
}

// refusesToRead fails for each document that is read, or refused for another reason.
func refusesToRead(t *testing.T, code reason.Code, documents map[string][]byte) {
	t.Helper()
	for name, data := range documents {
		if got, err := verify.ReadUnverified(data); !reason.Is(err, code) {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, code)
		}
	}
}

// TestAttackS7Subjects: a statement is about something, and about few things.
func TestAttackS7Subjects(t *testing.T) {
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(oneSubject+",", n), ",") }
	got, err := verify.ReadUnverified(about(many(3)))
	if err != nil || len(got.Subjects) != 3 || got.Signed || got.PredicateType != "https://x.example/y" {
		t.Errorf("%+v, %v", got, err)
	}
	refusesToRead(t, reason.Signature, map[string][]byte{"none": about(""), "too many": about(many(1025))})
	refusesToRead(t, reason.TooLarge, map[string][]byte{"ten thousand": about(many(20000))})
}

// TestAttackS8Digests: a subject is named by one SHA-256, and by nothing that
// another reader could go by instead.
func TestAttackS8Digests(t *testing.T) {
	good := `"sha256":"` + strings.Repeat("1", 64) + `"`
	named := func(digests string) []byte { return about(`{"name":"a","digest":{` + digests + `}}`) }
	refusesToRead(t, reason.Signature, map[string][]byte{
		"none":           named(""),
		"SHA-1":          named(`"sha1":"` + strings.Repeat("1", 40) + `"`),
		"SHA-1 beside":   named(good + `,"sha1":"x"`),
		"SHA-512 beside": named(good + `,"sha512":"x"`),
		"short":          named(`"sha256":"11"`),
		"capitals":       named(`"sha256":"` + strings.Repeat("A", 64) + `"`),
		"one bad of two": about(oneSubject + `,{"name":"b","digest":{"sha256":"11"}}`),
	})
}

func TestStatementsHaveOneReading(t *testing.T) {
	good := string(about(oneSubject))
	refusesToRead(t, reason.Malformed, map[string][]byte{
		"two payloads": []byte(good + good),
		"case":         []byte(strings.Replace(good, `"subject"`, `"Subject"`, 1)),
		"twice":        []byte(strings.Replace(good, `"_type"`, `"predicateType":"https://a.example","_type"`, 1)),
		"old type":     []byte(strings.Replace(good, "Statement/v1", "Statement/v0.1", 1)),
		"nothing":      nil,
		"null":         []byte("null"),
	})
	got, err := verify.ReadUnverified(golden(t, "another-kind"))
	if err != nil || !got.Signed || got.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("a signed one: %+v, %v", got, err)
	}
}

func FuzzReadUnverified(f *testing.F) {
	f.Add(golden(f, "another-kind"))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + strings.Repeat("1", 64) + `"}}],"predicateType":"x","predicate":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := verify.ReadUnverified(data)
		if stumbled(err) {
			t.Error(err)
		}
		if err == nil && len(got.Subjects) == 0 {
			t.Errorf("about nothing: %s", data)
		}
	})
}

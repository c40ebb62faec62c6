package policy

import (
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
)

// What is compared by hand is what these expressions say.
var spelled = []struct {
	is         func(string) bool
	expression string
}{
	{func(s string) bool { return word(s, maxRelease, false, "-") }, `^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$`},
	{dnsLabel, `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`},
	{dnsName, `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,3}$`},
	{plainObject, objectName},
	{labelValue, `^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$`},
	{func(s string) bool { return qualifiedName(s, false) }, `^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`},
	{func(s string) bool { return qualifiedName(s, true) }, `^([a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`},
	{plainKey, `^[A-Za-z0-9_-]{1,100}$`},
}

// names are short ones of every shape, and long ones around each bound.
func names() []string {
	out := []string{"", "é", "a\n", "\na", "a\x00", "a/b/c", "a.b.c.d", "a.b.c.d.e", "a..b", "a/", "/a", "\xff"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var s strings.Builder
		for range random.IntN(8) {
			s.WriteByte("aZ09-._/é"[random.IntN(10)])
		}
		out = append(out, s.String())
	}
	for _, bound := range []int{53, 63, 100, 253} {
		for n := bound - 1; n <= bound+1; n++ {
			s := strings.Repeat("a", n)
			out = append(out, s, s+"/a", "a/"+s, s+".a", "a."+s, s[1:]+"-", "-"+s[1:], strings.Repeat("-", n), "a"+strings.Repeat("-", n-2)+"a")
		}
	}
	return out
}

func TestNamesAreWhatTheExpressionsSay(t *testing.T) {
	all := names()
	for _, n := range spelled {
		re, accepted := regexp.MustCompile(n.expression), 0
		for _, s := range all {
			if got, want := n.is(s), re.MatchString(s); got != want {
				t.Errorf("%s: %q: %v", n.expression, s, got)
			} else if want {
				accepted++
			}
		}
		if accepted < 100 {
			t.Errorf("%s: only %d of %d names are any", n.expression, accepted, len(all))
		}
	}
}

// What is read of a render is all that it may have.
func TestTheDocumentOfARender(t *testing.T) {
	ours, whole := reflect.TypeFor[chartDocument](), reflect.TypeFor[task.ChartRender]()
	if ours.NumField() != whole.NumField() {
		t.Fatalf("%d fields, a render has %d", ours.NumField(), whole.NumField())
	}
	for i := range ours.NumField() {
		a, b := ours.Field(i), whole.Field(i)
		if a.Name != b.Name || a.Tag != b.Tag || a.Type != b.Type && a.Name != "Objects" {
			t.Errorf("field %s %s %q, in a render %s %s %q", a.Name, a.Type, a.Tag, b.Name, b.Type, b.Tag)
		}
	}
}

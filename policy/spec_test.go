package policy_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/consign-dev/consign/policy"
)

// The specification is what authors of applications and operators read, so it
// names every key of a service, a network, a volume and a config, whatever its
// class, and every grant.
func TestSpecificationNamesEveryKeyAndGrant(t *testing.T) {
	spec := string(must(os.ReadFile("../docs/spec/policy.md")))
	named := func(name string) bool {
		for _, form := range []string{"`" + name + "`", "`" + name + ":", "{" + name, name + "}", ", " + name + "`"} {
			if strings.Contains(spec, form) {
				return true
			}
		}
		return false
	}
	for _, k := range policy.ComposeKeys() {
		name := k.Path[strings.LastIndex(k.Path, ".")+1:]
		if !named(name) {
			t.Errorf("docs/spec/policy.md does not name %s", k.Path)
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[policy.ServiceGrants](), reflect.TypeFor[policy.Limits]()} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			if !strings.Contains(spec, "| `"+name+"` |") {
				t.Errorf("docs/spec/policy.md has no row for the grant %s", name)
			}
		}
	}
}

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

// The same for charts: every kind, every reason never to grant one, every grant.
func TestSpecificationNamesEveryKubernetesKindAndGrant(t *testing.T) {
	spec := string(must(os.ReadFile("../docs/spec/policy.md")))
	_, spec, _ = strings.Cut(spec, "\n## Kubernetes\n")
	for _, k := range policy.KubernetesKeys() {
		kind, _, _ := strings.Cut(k.Path, ".")
		if !strings.Contains(spec, "`"+kind+"`") {
			t.Errorf("docs/spec/policy.md does not name the kind %s", kind)
		}
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[policy.KubernetesGrants](), reflect.TypeFor[policy.ChartGrants](), reflect.TypeFor[policy.WorkloadGrants](), reflect.TypeFor[policy.ExposureGrants](),
		reflect.TypeFor[policy.RoleGrants](), reflect.TypeFor[policy.CustomKind](),
	} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			if name != "" && !strings.Contains(spec, "`"+name+"`") {
				t.Errorf("docs/spec/policy.md does not name the grant %s", name)
			}
		}
	}
}

// Every grantable field of a chart names a grant that a document can have, and
// every grant is for a field.
func TestGrantableKubernetesKeysNameAGrant(t *testing.T) {
	names := map[string]bool{}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[policy.ChartGrants](), reflect.TypeFor[policy.WorkloadGrants](), reflect.TypeFor[policy.ExposureGrants](), reflect.TypeFor[policy.RoleGrants](),
	} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			names[name] = false
		}
	}
	for _, k := range policy.KubernetesKeys() {
		if k.Class != policy.Grantable {
			continue
		}
		for name := range strings.SplitSeq(k.Note, ", ") {
			if _, ok := names[name]; !ok && !strings.HasPrefix(name, "limits.") {
				t.Errorf("%s needs the grant %q, which no document can have", k.Path, name)
			}
			names[name] = true
		}
	}
	for name, used := range names {
		if !used && name != "defaultCapabilities" && name != "defaultSeccomp" {
			t.Errorf("the grant %s is for no field", name)
		}
	}
}

package policy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/consign-dev/consign/policy"
)

const kubernetesKeysFile = "testdata/kubernetes/keys.txt"

// The second copy of the classification, as for Compose.
func TestClassesOfKubernetesKeys(t *testing.T) {
	var now strings.Builder
	for _, k := range policy.KubernetesKeys() {
		if k.Note == "" && k.Class != policy.Harmless {
			t.Errorf("%s is %s without a reason", k.Path, k.Class)
		}
		// What pods hold is the same in all kinds; a Deployment stands for them.
		if kind, _, _ := strings.Cut(k.Path, "."); kind == "Deployment" || !strings.Contains(k.Path, ".template.spec.") && (kind != "Pod" || !strings.HasPrefix(k.Path, "Pod.spec.")) {
			fmt.Fprintf(&now, "%-9s %s\n", k.Class, k.Path)
		}
	}
	if *update {
		if err := os.WriteFile(kubernetesKeysFile, []byte(now.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(must(os.ReadFile(kubernetesKeysFile))); want != now.String() {
		t.Errorf("%s is not what the tables say; if the change is meant, run 'go test ./policy -run TestClassesOfKubernetesKeys -update' and read the diff", kubernetesKeysFile)
	}
}

// apiFields reads the fields of the API: of each kind, and of each type.
func apiFields(t *testing.T) (kinds map[string]string, types map[string]map[string]string) {
	t.Helper()
	kinds, types = map[string]string{}, map[string]map[string]string{}
	for line := range strings.Lines(string(must(os.ReadFile("testdata/kubernetes/api-1.37.txt")))) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		head, list, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), "}"), "{")
		if kind, name, ok := strings.Cut(head, " "); ok {
			kinds[kind[strings.LastIndex(kind, "/")+1:]] = name
			head = name
		}
		if types[head] == nil {
			types[head] = map[string]string{}
		}
		for field := range strings.FieldsSeq(list) {
			name, typ, _ := strings.Cut(field, ":")
			types[head][name] = typ
		}
	}
	return kinds, types
}

// Every field of the API is in the tables, and the tables have no other.
func TestEveryFieldOfTheKubernetesAPIIsClassified(t *testing.T) {
	kinds, types := apiFields(t)
	known := map[string]policy.Class{}
	for _, k := range policy.KubernetesKeys() {
		known[k.Path] = k.Class
	}
	seen := map[string]bool{}
	var walk func(at, typ string)
	walk = func(at, typ string) {
		for {
			if rest, ok := strings.CutPrefix(typ, "[]"); ok {
				at, typ = at+"[]", rest
			} else if rest, ok := strings.CutPrefix(typ, "map:"); ok {
				at, typ = at+".*", rest
			} else {
				break
			}
		}
		for field, of := range types[typ] {
			path := at + "." + field
			class, ok := known[path]
			if !ok {
				t.Errorf("%s is not classified: decide in policy/kubernetes*.go whether it is harmless, grantable or never granted", path)
			}
			seen[path] = true
			if ok && class != policy.Never {
				walk(path, of)
			}
		}
	}
	for kind, typ := range kinds {
		walk(kind, typ)
	}
	if len(seen) < 2000 {
		t.Errorf("walked over %d fields only", len(seen))
	}
	for path := range known {
		// A kind without a status, and a resource, which is a key of a map.
		if !seen[path] && !strings.HasSuffix(path, ".status") && !strings.HasSuffix(path, ".storage") {
			t.Errorf("%s is no field of the API", path)
		}
	}
}

// The file of every field has every name of a field in some place, so that what
// walks over it meets every table.
func TestEveryFieldIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, o := range everyField(t) {
		eachObject(o, "", func(_ string, object tree) {
			for name := range object {
				tried[name] = true
			}
		})
	}
	for _, k := range policy.KubernetesKeys() {
		name := strings.TrimSuffix(k.Path[strings.LastIndex(k.Path, ".")+1:], "[]")
		if k.Class != policy.Never && !tried[name] && name != "*" {
			t.Errorf("testdata/kubernetes/every-field.yaml has no %s", k.Path)
		}
	}
}

// Whatever is granted, what is never granted stays refused, with the reason.
func TestKubernetesNeverIsRefusedWhateverIsGranted(t *testing.T) {
	all := everyField(t)
	limit(all)
	g := grantsOf(t, everyGrant)
	byKind := map[string]tree{}
	for _, o := range all {
		if kind, _ := o["kind"].(string); byKind[kind] == nil {
			byKind[kind] = o
		}
	}
	tried := 0
	for _, k := range policy.KubernetesKeys() {
		kind, path, _ := strings.Cut(k.Path, ".")
		if k.Class != policy.Never || kind != "Deployment" && strings.Contains(path, "emplate.") || strings.Contains(path, "initContainers") {
			continue
		}
		var copied tree
		if err := json.Unmarshal(must(json.Marshal(byKind[kind])), &copied); err != nil {
			t.Fatal(err)
		}
		object, key := parentOf(copied, path)
		if object == nil {
			continue
		}
		tried++
		object[key] = "value"
		err := g.CheckKubernetes(rendered([]tree{copied}))
		if err == nil || !strings.Contains(err.Error(), key+" (") || !strings.Contains(err.Error(), k.Note) {
			t.Errorf("%s: got %v, want a refusal that says %q", k.Path, err, k.Note)
		}
	}
	if tried < 150 {
		t.Errorf("tried %d fields only", tried)
	}
}

// parentOf follows a path into an object: the first element of a list that has
// what comes next.
func parentOf(at any, path string) (tree, string) {
	step, rest, more := strings.Cut(path, ".")
	name, many := strings.CutSuffix(step, "[]")
	object, _ := at.(tree)
	if !more {
		return object, name
	}
	if !many {
		return parentOf(object[name], rest)
	}
	list, _ := object[name].([]any)
	for _, e := range list {
		if o, key := parentOf(e, rest); o != nil {
			return o, key
		}
	}
	return nil, ""
}

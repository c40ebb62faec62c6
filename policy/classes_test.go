package policy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

var update = flag.Bool("update", false, "write the list of classified keys anew")

const keysFile = "testdata/compose-keys.txt"

func classes() map[string]policy.Class {
	out := map[string]policy.Class{}
	for _, k := range policy.ComposeKeys() {
		out[k.Path] = k.Class
	}
	return out
}

// The second copy of the classification: whoever changes a class sees it in a
// diff, and a line that is lost from the tables is missed here.
func TestClassesOfComposeKeys(t *testing.T) {
	var now strings.Builder
	for _, k := range policy.ComposeKeys() {
		if k.Note == "" && k.Class != policy.Harmless {
			t.Errorf("%s is %s without a reason", k.Path, k.Class)
		}
		fmt.Fprintf(&now, "%-9s %s\n", k.Class, k.Path)
	}
	if *update {
		if err := os.WriteFile(keysFile, []byte(now.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(must(os.ReadFile(keysFile))); want != now.String() {
		t.Errorf("%s is not what the tables say; if the change is meant, run 'go test ./policy -run TestClassesOfComposeKeys -update' and read the diff", keysFile)
	}
}

// Attack C2: a key that a newer compose-go has is refused, and somebody decides
// before the next release.
func TestEveryKeyOfComposeGoIsClassified(t *testing.T) {
	known := classes()
	seen := 0
	var walk func(at string, typ reflect.Type)
	walk = func(at string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer:
			walk(at, typ.Elem())
			return
		case reflect.Slice:
			walk(at+"[]", typ.Elem())
			return
		case reflect.Map:
			walk(at+".*", typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous {
				walk(at, f.Type)
				continue
			}
			if !f.IsExported() || name == "-" {
				continue
			}
			if name == "" {
				name = f.Name
			}
			path := strings.TrimPrefix(at+"."+name, ".")
			class, ok := known[path]
			if !ok {
				t.Errorf("%s is not classified: decide in policy/compose*.go whether it is harmless, grantable or never granted", path)
			}
			seen++
			if ok && class != policy.Never {
				walk(path, f.Type)
			}
		}
	}
	walk("", reflect.TypeFor[types.Project]())
	if seen < 180 {
		t.Errorf("walked over %d keys only", seen)
	}
}

// The same for the schema, which has keys that are resolved away on loading.
func TestEveryKeyOfTheComposeSchemaIsClassified(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &root); err != nil {
		t.Fatal(err)
	}
	known := classes()
	seen := map[string]bool{}
	var walk func(at string, node any, depth int)
	walk = func(at string, node any, depth int) {
		object, _ := node.(map[string]any)
		if object == nil || depth > 40 {
			return
		}
		if ref, ok := object["$ref"].(string); ok {
			target := any(root)
			for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				target = target.(map[string]any)[step]
			}
			walk(at, target, depth+1)
		}
		for _, several := range []string{"oneOf", "anyOf", "allOf"} {
			list, _ := object[several].([]any)
			for _, one := range list {
				walk(at, one, depth+1)
			}
		}
		walk(at+"[]", object["items"], depth+1)
		walk(at+".*", object["additionalProperties"], depth+1)
		patterns, _ := object["patternProperties"].(map[string]any)
		for pattern, value := range patterns {
			if pattern != "^x-" {
				walk(at+".*", value, depth+1)
			}
		}
		properties, _ := object["properties"].(map[string]any)
		for name, value := range properties {
			path := strings.TrimPrefix(at+"."+name, ".")
			class, ok := known[path]
			if !ok {
				t.Errorf("%s of the schema is not classified", path)
			}
			seen[path] = true
			if ok && class != policy.Never {
				walk(path, value, depth+1)
			}
		}
	}
	walk("", root, 0)
	if len(seen) < 180 {
		t.Errorf("walked over %d keys only", len(seen))
	}
}

// Whatever is granted, what is never granted stays refused, with the reason.
func TestNeverIsRefusedWhateverIsGranted(t *testing.T) {
	g := everything()
	if err := g.CheckCompose(must(json.Marshal(skeleton(t)))); err != nil {
		t.Fatalf("the skeleton itself: %v", err)
	}
	keys := policy.ComposeKeys()
	keys = append(keys, policy.Key{Path: "x-later"}, policy.Key{Path: "services.*.another_later_key"}, policy.Key{Path: "networks.*.x"},
		policy.Key{Path: "services.*.volumes[].x"}, policy.Key{Path: "services.*.deploy.x"})
	tried := 0
	for _, k := range keys {
		if k.Class != policy.Never && k.Class != "" || strings.Contains(k.Path, "ulimits") || strings.Contains(k.Path, "logging") {
			continue
		}
		tried++
		tree := skeleton(t)
		object, key := parent(t, tree, k.Path)
		object[key] = "value"
		err := g.CheckCompose(must(json.Marshal(tree)))
		if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), key+" (") || !strings.Contains(err.Error(), k.Note) {
			t.Errorf("%s: got %v, want a refusal that says %q", k.Path, err, k.Note)
		}
	}
	if tried < 60 {
		t.Errorf("tried %d keys only", tried)
	}
}

// everything grants whatever can be granted to the service web.
func everything() policy.Grants {
	return policy.Grants{Compose: map[string]policy.ServiceGrants{"web": {
		Privileged: true, HostNetwork: true, HostPID: true, HostIPC: true, HostUTS: true, HostUserNS: true, HostCgroup: true,
		EngineSocket: true, GPUs: true, Capabilities: []string{"SYS_ADMIN"}, Devices: []string{"/dev/ttyUSB*:rwm"},
		HostPaths: []string{"/srv/a:rw"}, Ports: []string{"80/tcp"}, LogDrivers: []string{"syslog"},
	}}, Limits: policy.Limits{Containers: 1000, CPUs: 64, Memory: "64g", PIDs: 100000, Logs: "10g", Tmpfs: "10g"}}
}

func skeleton(t *testing.T) map[string]any {
	t.Helper()
	var tree map[string]any
	err := json.Unmarshal([]byte(`{"name":"press","services":{"web":{"image":"`+image+`","cpus":1,"mem_limit":"1000","pids_limit":5,
		"deploy":{"resources":{"limits":{},"reservations":{"devices":[{"capabilities":["gpu"]}]}},"placement":{},"restart_policy":{}},
		"healthcheck":{},"depends_on":{"web":{"condition":"service_started","required":true}},"gpus":[{"driver":"nvidia"}],
		"logging":{"driver":"local","options":{"max-size":"1m"}},"networks":{"n":{}},"ports":[{"target":80}],
		"devices":[{"source":"/dev/ttyUSB0","target":"/dev/ttyUSB0","permissions":"rw"}],
		"volumes":[{"type":"bind","source":"/srv/a","target":"/v","bind":{}},{"type":"volume","source":"v","target":"/v","volume":{}},{"type":"tmpfs","target":"/t","tmpfs":{"size":"1000"}}],
		"configs":[{"source":"c"}],"secrets":[{"source":"s","target":"/run/secrets/s"}]}},
		"networks":{"n":{"name":"press_n","ipam":{}}},"volumes":{"v":{"name":"press_v"}},"configs":{"c":{"content":"x"}},"secrets":{"s":{"environment":"line-7"}}}`), &tree)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// parent follows a path of ComposeKeys into a tree: the first of a list, the
// only one of a map.
func parent(t *testing.T, tree map[string]any, path string) (map[string]any, string) {
	t.Helper()
	steps := strings.Split(strings.ReplaceAll(path, "[]", ".[]"), ".")
	at := any(tree)
	for _, step := range steps[:len(steps)-1] {
		switch v := at.(type) {
		case []any:
			at = v[0]
		case map[string]any:
			if step == "*" {
				for _, at = range v {
				}
			} else {
				at = v[step]
			}
		}
	}
	object, ok := at.(map[string]any)
	if !ok {
		t.Fatalf("nothing at the parent of %s", path)
	}
	return object, steps[len(steps)-1]
}

// Every grant of a service is a field that a document can have, and every
// grantable key names one.
func TestGrantableKeysNameAGrant(t *testing.T) {
	var names []string
	for _, typ := range []reflect.Type{reflect.TypeFor[policy.ServiceGrants](), reflect.TypeFor[policy.Limits]()} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			if typ == reflect.TypeFor[policy.Limits]() {
				name = "limits." + name
			}
			names = append(names, name)
		}
	}
	used := map[string]bool{}
	for _, k := range policy.ComposeKeys() {
		if k.Class != policy.Grantable {
			continue
		}
		for name := range strings.SplitSeq(k.Note, ", ") {
			used[name] = true
			if !slices.Contains(names, name) {
				t.Errorf("%s needs the grant %q, which no document can have", k.Path, name)
			}
		}
	}
	for _, name := range names {
		if !used[name] && name != "limits.logs" && name != "limits.volumes" {
			t.Errorf("the grant %s is for no key", name)
		}
	}
}

package plan

import (
	"reflect"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/verify"
)

func renders(projects ...string) []verify.Render {
	var out []verify.Render
	for i, p := range projects {
		out = append(out, verify.Render{Component: string(rune('a' + i)), Project: []byte(p)})
	}
	return out
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string
		want          []Change
		replaced      []string
	}{
		"nothing": {`{"services":{"web":{"image":"x"}}}`, `{"services":{"web":{"image":"x"}}}`, nil, nil},
		"a field": {
			`{"services":{"web":{"environment":{"A":"1","B":"2"}}}}`, `{"services":{"web":{"environment":{"A":"1","B":"3"}}}}`,
			[]Change{{"a", "service", "web", Changed, []string{"environment.B"}}}, []string{"a/web"},
		},
		"a list of another length": {
			`{"services":{"web":{"command":["a"]}}}`, `{"services":{"web":{"command":["a","b"]}}}`,
			[]Change{{"a", "service", "web", Changed, []string{"command"}}}, []string{"a/web"},
		},
		"an entry of a list": {
			`{"services":{"web":{"ports":[{"published":"1"}]}}}`, `{"services":{"web":{"ports":[{"published":"2"}]}}}`,
			[]Change{{"a", "service", "web", Changed, []string{"ports[0].published"}}}, []string{"a/web"},
		},
		"another service": {
			`{"services":{"web":{},"db":{}}}`, `{"services":{"web":{},"cache":{}}}`,
			[]Change{{"a", "service", "cache", Added, []string{}}, {"a", "service", "db", Removed, []string{}}}, nil,
		},
		"replicas": {
			`{"services":{"web":{"scale":1}}}`, `{"services":{"web":{"scale":2}}}`,
			[]Change{{"a", "service", "web", Changed, []string{"scale"}}}, nil,
		},
		"a network that it is on": {
			`{"services":{"web":{"networks":{"n":null}},"db":{}},"networks":{"n":{"internal":false}}}`,
			`{"services":{"web":{"networks":{"n":null}},"db":{}},"networks":{"n":{"internal":true}}}`,
			[]Change{{"a", "network", "n", Changed, []string{"internal"}}}, []string{"a/web"},
		},
		"the file of a secret that it gets": {
			`{"services":{"web":{"secrets":[{"source":"s"}]},"db":{}},"secrets":{"s":{"environment":"one"}}}`,
			`{"services":{"web":{"secrets":[{"source":"s"}]},"db":{}},"secrets":{"s":{"environment":"two"}}}`,
			[]Change{{"a", "secret", "s", Changed, []string{"environment"}}}, []string{"a/web"},
		},
		"a config, whose digest is no change of its own": {
			`{"services":{"web":{"labels":{"dev.consign.configs":"1"}}},"configs":{"c":{"content":"1"}}}`,
			`{"services":{"web":{"labels":{"dev.consign.configs":"2"}}},"configs":{"c":{"content":"2"}}}`,
			[]Change{{"a", "config", "c", Changed, []string{"content"}}}, []string{"a/web"},
		},
		"another kind of value": {
			`{"services":{"web":{"command":null}}}`, `{"services":{"web":{"command":{"a":1}}}}`,
			[]Change{{"a", "service", "web", Changed, []string{"command"}}}, []string{"a/web"},
		},
	} {
		got, err := compare(renders(c.before), renders(c.after))
		if err != nil || !reflect.DeepEqual(got.changes, c.want) || !reflect.DeepEqual(got.replaced, c.replaced) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestCompareComponents(t *testing.T) {
	got, err := compare(renders(`{"services":{"web":{}}}`, `{"services":{"old":{}}}`), renders(`{"services":{"web":{}}}`))
	want := []Change{{"b", "service", "old", Removed, []string{}}}
	if err != nil || !reflect.DeepEqual(got.changes, want) || got.replaced != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// A render is made by a program that reads what strangers wrote.
func TestOddRenders(t *testing.T) {
	for _, p := range []string{`[]`, `null`, ``, `{"services":{},"services":{}}`} {
		if _, err := readProject(renders(p)[0]); reason.Of(err) == "" {
			t.Errorf("%s was read: %v", p, err)
		}
	}
	for _, p := range []string{`{"services":[]}`, `{"services":{"web":[]}}`, `{"services":{"web":{"ports":{},"image":1,"networks":[]}}}`, `{"services":{"web":{"ports":[1]}}}`} {
		if _, err := compare(renders(p), renders(`{}`)); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if _, err := listObjects(&verify.Rehearsal{}, renders(p)); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

package task

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Every list and text of the facts has a bound: a field that is added without
// one is found here, since each is filled beyond it by reflection.
func TestEveryFactIsBounded(t *testing.T) {
	var over func(v reflect.Value, name string)
	try := func(name string, fill func(*Facts)) {
		var f Facts
		fill(&f)
		if err := f.Check(); !reason.Is(err, reason.TooLarge) {
			t.Errorf("%s has no bound: %v", name, err)
		}
		f.Fit()
		if err := f.Check(); err != nil || !f.Cut {
			t.Errorf("%s: after Fit: %v, cut %t", name, err, f.Cut)
		}
	}
	long := strings.Repeat("x", MaxFactText+1)
	over = func(v reflect.Value, name string) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(long)
		case reflect.Map:
			m := reflect.MakeMap(v.Type())
			m.SetMapIndex(reflect.ValueOf("k"), reflect.ValueOf(long))
			v.Set(m)
		}
	}
	typ := reflect.TypeFor[Facts]()
	for i := range typ.NumField() {
		field := typ.Field(i)
		switch field.Type.Kind() {
		case reflect.String, reflect.Map:
			try(field.Name, func(f *Facts) { over(reflect.ValueOf(f).Elem().Field(i), field.Name) })
		case reflect.Slice:
			try(field.Name, func(f *Facts) {
				reflect.ValueOf(f).Elem().Field(i).Set(reflect.MakeSlice(field.Type, MaxFactList+1, MaxFactList+1))
			})
			elem := field.Type.Elem()
			for j := range max(1, numField(elem)) {
				try(field.Name, func(f *Facts) {
					list := reflect.MakeSlice(field.Type, 1, 1)
					target := list.Index(0)
					if elem.Kind() == reflect.Struct {
						target = target.Field(j)
					}
					switch target.Kind() {
					case reflect.String:
						target.SetString(long)
					case reflect.Slice:
						target.Set(reflect.ValueOf([]string{long}))
					default: // a number or flag has no length; keep the case meaningful
						list = reflect.MakeSlice(field.Type, MaxFactList+1, MaxFactList+1)
					}
					reflect.ValueOf(f).Elem().Field(i).Set(list)
				})
			}
		}
	}
}

func numField(t reflect.Type) int {
	if t.Kind() != reflect.Struct {
		return 0
	}
	return t.NumField()
}

// Check must not change what it looks at, and Fit must not reach into lists
// that others hold.
func TestFitChangesNobodyElsesLists(t *testing.T) {
	long := strings.Repeat("x", MaxFactText+1)
	shared := []string{long}
	f := Facts{CapAdd: shared}
	if err := f.Check(); err == nil || f.CapAdd[0] != long {
		t.Errorf("Check: %v, changed %t", err, f.CapAdd[0] != long)
	}
	f.Fit()
	if shared[0] != long {
		t.Error("Fit changed a list that it does not own")
	}
}

func FuzzFacts(f *testing.F) {
	f.Add([]byte(`{"image":"a","mounts":[{"type":"bind","source":"/","target":"/x"}],"sysctls":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var facts Facts
		if strictjson.Unmarshal(data, &facts, strictjson.Limits{Bytes: MaxAnswer, Depth: 8}) != nil {
			return
		}
		facts.Fit()
		if err := facts.Check(); err != nil {
			t.Error(err)
		}
		if _, err := json.Marshal(facts); err != nil {
			t.Error(err)
		}
	})
}

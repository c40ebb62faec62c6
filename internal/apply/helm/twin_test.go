package helm

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/consign-dev/consign/internal/reason"
)

// fill gives every part of a value one that is not empty.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		item := reflect.New(v.Type().Elem()).Elem()
		fill(item)
		v.SetMapIndex(reflect.ValueOf("x"), item)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"list": []any{"x"}, "values": chartutil.Values{"x": "y"}, "texts": map[string]string{"x": "y"}}))
	default:
		panic(v.Kind())
	}
}

// shared lists what two values have in common that can be written into.
func shared(a, b reflect.Value, at string) []string {
	var list []string
	switch a.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		if a.Pointer() == b.Pointer() {
			return []string{at}
		}
	}
	switch a.Kind() {
	case reflect.Slice:
		for i := range a.Len() {
			list = append(list, shared(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", at, i))...)
		}
	case reflect.Map:
		for _, key := range a.MapKeys() {
			list = append(list, shared(a.MapIndex(key), b.MapIndex(key), fmt.Sprintf("%s[%v]", at, key))...)
		}
	case reflect.Pointer, reflect.Interface:
		return shared(a.Elem(), b.Elem(), at)
	case reflect.Struct:
		for i := range a.NumField() {
			list = append(list, shared(a.Field(i), b.Field(i), at+"."+a.Type().Field(i).Name)...)
		}
	}
	return list
}

// The two renders run at once: nothing of Chart.yaml is in both, also in versions of
// Helm that know more of it.
func TestTwinsShareNothingOfTheChart(t *testing.T) {
	from := &chart.Metadata{}
	fill(reflect.ValueOf(from).Elem())
	twin := metadataTwin(from)
	if !reflect.DeepEqual(from, twin) {
		t.Errorf("a twin of %+v is %+v", from, twin)
	}
	if list := shared(reflect.ValueOf(from), reflect.ValueOf(twin), ""); len(list) > 0 {
		t.Errorf("in both: %q", list)
	}
	empty := &chart.Metadata{Keywords: []string{}}
	if twin := metadataTwin(empty); !reflect.DeepEqual(empty, twin) {
		t.Errorf("a twin of %#v is %#v", empty, twin)
	}
}

// sortAlpha sorts a list of texts where it lies.
func TestTemplatesThatWriteIntoTheChart(t *testing.T) {
	out, render := mustRender(t, input(t, small("{{ $before := join `,` .Chart.Keywords }}{{ $_ := sortAlpha .Chart.Keywords }}"+
		configMap+"data: {before: {{ $before | quote }}, after: {{ join `,` .Chart.Keywords | quote }}}").with("Chart.yaml", chartYAML+"keywords: [c, b, a]\n")))
	if got := fmt.Sprint(get(t, render, "ConfigMap/c", "data")); got != "map[after:a,b,c before:c,b,a]" || len(out.Volatile) > 0 {
		t.Errorf("got %s, volatile %v", got, out.Volatile)
	}
}

func TestTooManyObjects(t *testing.T) {
	few := "{{ range until %d }}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d-{{ . }}}}\n{{ end }}"
	at := files{"Chart.yaml": chartYAML, "templates/0.yaml": fmt.Sprintf(few, maxObjects/2, 0), "templates/1.yaml": fmt.Sprintf(few, maxObjects/2, 1)}
	if out, render := mustRender(t, input(t, at)); len(render.Objects) != maxObjects {
		t.Errorf("%d objects of %d bytes", len(render.Objects), len(out.Render))
	}
	// Whatever else is wrong: there is one answer.
	if _, err := Render(t.Context(), input(t, at.with("templates/2.yaml", configMap, "templates/3.yaml", "{"))); !reason.Is(err, reason.TooLarge) {
		t.Errorf("one more: %v", err)
	}
}

func TestAtOnceReturnsTheFirstError(t *testing.T) {
	done := make([]bool, 100)
	err := atOnce(len(done), func(i int) error {
		if done[i] = true; i%7 == 5 {
			return fmt.Errorf("of %d", i)
		}
		return nil
	})
	if err == nil || err.Error() != "of 5" || slices.Contains(done, false) {
		t.Errorf("%v, done %v", err, done)
	}
}

package helm

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
)

// A tree is written as encoding/json writes it.
func TestAppendJSON(t *testing.T) {
	for _, text := range []string{
		`{"b":[1,1.50,-0,1e400,true,null,{}],"a":{"c":"plain","<":"& \u2028 \u0000 é \" \\ \n"}}`, `[]`, `[[],{},""]`, `"\ud800"`, `null`, `{"":{"~":"\u007f"}}`,
	} {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var tree any
		if err := dec.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := appendJSON(nil, tree); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	if _, err := appendJSON(nil, map[string]any{"a": []any{math.NaN()}}); err == nil {
		t.Error("what JSON does not have was written")
	}
}

// A render is the encoding of the type that its readers decode.
func TestRenderIsAChartRender(t *testing.T) {
	for _, chart := range []files{midSize(), chartOf(t, "database")} {
		out, err := Render(t.Context(), input(t, chart))
		if err != nil {
			t.Fatal(err)
		}
		var render task.ChartRender
		if err := json.Unmarshal(out.Render, &render); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(render)
		if err != nil || !bytes.Equal(again, out.Render) {
			t.Errorf("written again it is\n%s, %v, it was\n%s", again, err, out.Render)
		}
	}
}

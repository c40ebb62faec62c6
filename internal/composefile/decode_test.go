package composefile

import (
	"bytes"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

// A render that is accepted is the bytes that the project encodes to: what was
// checked is what runs.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{smallCompose, richCompose} {
		p, err := Load(f.Context(), Files{ComposeFile: []byte(text)}, Vars{Values: map[string]string{"GREETING": "$g"}}, "demo")
		if err != nil {
			continue // it wants files
		}
		data, err := Encode(f.Context(), p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"name":"demo","services":{"a":{"command":null,"image":"x","ports":[1],"mem_limit":1e3}}}`))
	f.Add([]byte(`{"name":"demo","services":{"a":{"image":"x","image":"y"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(t.Context(), data, "demo")
		if err != nil {
			if reason.Of(err) == reason.Internal {
				t.Errorf("error without a reason: %v", err)
			}
			return
		}
		if again, err := Encode(t.Context(), p); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s became %s, %v", data, again, err)
		}
	})
}

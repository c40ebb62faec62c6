package apply

import (
	"bytes"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// What an applier writes is one answer, a refusal with a reason of the list, or
// the applier's fault.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{"result":{"project":"e30=","digest":"sha256:x","images":["a"]}}`, `{"refusal":{"reason":"grant","message":"m"}}`,
		`{"refusal":{"reason":"nonsense","message":"m"}}`, `{"result":{},"refusal":{"reason":"grant","message":""}}`, `{}`, `{"result":null}`, "{}\n{}"} {
		f.Add([]byte(s + "\n"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		line, err := readLine(bytes.NewReader(data))
		if err != nil {
			return
		}
		if n := bytes.IndexByte(data, '\n'); n != len(data)-1 || !bytes.Equal(line, data) {
			t.Errorf("of %q the line %q was read", data, line)
		}
		var result task.RenderResult
		if err := decodeAnswer(task.Render, line, &result); err != nil && !reason.Of(err).Valid() {
			t.Errorf("refused as %q: %v", reason.Of(err), err)
		}
	})
}

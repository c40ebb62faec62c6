package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgressBarShowsBytesAndEscapesItsLabel(t *testing.T) {
	var buf bytes.Buffer
	p := &Progress{out: &buf, label: "push\x1b]0;x"}
	p.Set(0, 0) // total still unknown
	if buf.Len() != 0 {
		t.Errorf("drew %q for an unknown total", buf.String())
	}
	p.Set(512, 1024)
	p.Set(4096, 1024) // more than announced must not fail
	if out := buf.String(); !strings.Contains(out, `push\u001b]0;x`) || !strings.Contains(out, "KiB") {
		t.Errorf("bar drew %q", out)
	}
	buf.Reset()
	p.Set(1024, 2048) // the next transfer shows itself again
	if !strings.Contains(buf.String(), "50%") {
		t.Errorf("second bar drew %q", buf.String())
	}
	p.Close()
	if !strings.HasSuffix(buf.String(), " \r") {
		t.Errorf("the bar was left on the line: %q", buf.String())
	}
}

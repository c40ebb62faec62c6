package pack

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

const (
	zeros      = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	sampleLock = `{"lockVersion":1,"components":{"oci://registry.example.com/web:1.0.0":"` + zeros + `"},"images":{"docker.io/library/nginx:1.27":"` + zeros + `"}}`
)

func TestParseLockRefuses(t *testing.T) {
	for name, c := range map[string]struct{ data, text string }{
		"no version":          {`{}`, "lockVersion"},
		"unknown member":      {`{"lockVersion":1,"charts":{}}`, "charts"},
		"name twice":          {strings.Replace(sampleLock, `"images":{`, `"images":{"docker.io/library/nginx:1.27":"`+zeros+`",`, 1), "duplicate"},
		"short name":          {strings.Replace(sampleLock, "docker.io/library/nginx:1.27", "nginx:1.27", 1), "full reference"},
		"name with a digest":  {strings.Replace(sampleLock, "nginx:1.27", "nginx@"+zeros, 1), "with a tag"},
		"component of https":  {strings.Replace(sampleLock, "oci://", "https://", 1), "oci://"},
		"digest of other sum": {strings.Replace(sampleLock, "sha256:", "sha512:", 1), "digest"},
		"too long":            {sampleLock + strings.Repeat(" ", maxLockBytes), "bytes"},
	} {
		_, err := parseLock([]byte(c.data))
		if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", name, err, c.text)
		}
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(sampleLock))
	f.Add([]byte(`{"lockVersion":1,"images":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parseLock(data)
		if err != nil {
			if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge {
				t.Fatalf("refused as %q: %v", code, err)
			}
			return
		}
		first, err := encodeLock(doc)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseLock(first)
		if err != nil || !maps.Equal(doc.Images, again.Images) || !maps.Equal(doc.Components, again.Components) {
			t.Fatalf("%+v became %+v %v", doc, again, err)
		}
		if second, _ := encodeLock(again); !bytes.Equal(first, second) {
			t.Fatal("two rounds differ")
		}
	})
}

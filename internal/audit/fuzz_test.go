package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

// An auditor is given a whole directory by somebody else. One of its files,
// whichever, holds what the fuzzer says: either that is what was there, or it
// is found.
func FuzzLogFiles(f *testing.F) {
	l := newLog(f)
	l.grow(3)
	l.integrate()
	l.grow(2)
	must(f, l.Close())
	files := l.files()
	genuine := map[string][]byte{}
	for n, file := range files {
		genuine[file] = l.read(file)
		f.Add(n, genuine[file])
		f.Add(n, genuine[file][:len(genuine[file])/2])
		f.Add(n, append(bytes.Clone(genuine[file]), 0))
		f.Add(n, bytes.Repeat([]byte{0xff}, 64))
	}
	f.Fuzz(func(t *testing.T, n int, data []byte) {
		if n < 0 || n >= len(files) {
			return
		}
		path := filepath.Join(l.dir, files[n])
		must(t, os.WriteFile(path, data, 0o600))
		defer func() { must(t, os.WriteFile(path, genuine[files[n]], 0o600)) }()
		report, err := l.verify(nil)
		same := bytes.Equal(data, genuine[files[n]])
		// What a crash leaves behind the last record of the journal is no fault.
		torn := files[n] == journalFile && bytes.HasPrefix(data, genuine[files[n]])
		switch {
		case same && (err != nil || report.Size != 3):
			t.Errorf("untouched: %d events, %v", report.Size, err)
		case !same && !torn && err == nil && report.Size == 3 && report.Pending == 2:
			t.Errorf("%s holds %q, and nothing is found", files[n], data)
		case err != nil && !IsTampering(err) && !reason.Of(err).Valid():
			t.Errorf("error without a reason: %v", err)
		}
	})
}

// What is read as a verifier key has one text.
func FuzzParseVerifierKey(f *testing.F) {
	key, private := newPrivateKey(f)
	f.Add(key.Public())
	f.Add(private)
	f.Add("a+00000000+AQ==")
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := ParseVerifierKey(text); err == nil && (v.Name() == "" || len(text) > 1<<10 && len(v.Name()) < 1<<8) {
			t.Errorf("accepted %q", text)
		}
		if _, err := ParseKey(text); err != nil && !reason.Is(err, reason.Malformed) {
			t.Errorf("refused as %q", reason.Of(err))
		}
	})
}

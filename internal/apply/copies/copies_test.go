package copies

import (
	"archive/tar"
	"bytes"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// What is said of a volume's size is an estimate: the copy itself keeps the bound.
func TestCopyEndsWhereTheSpaceDoes(t *testing.T) {
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	_ = tw.WriteHeader(&tar.Header{Name: "consign-data/a", Typeflag: tar.TypeReg, Size: 4096})
	_, _ = tw.Write(make([]byte, 4096))
	_ = tw.Close()
	var file bytes.Buffer
	err := save(&archive, &bounded{to: &file, left: 1000}, &task.Volume{})
	if !reason.Is(err, reason.NoSpace) || file.Len() > 1000 {
		t.Errorf("%v after %d bytes", err, file.Len())
	}
}

func FuzzContent(f *testing.F) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	_ = tw.WriteHeader(&tar.Header{Name: "consign-data/", Typeflag: tar.TypeDir, Mode: 0o1770, Uid: 70, Gid: 71})
	_ = tw.Close()
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		first, err := Content(bytes.NewReader(archive))
		second, again := Content(bytes.NewReader(archive))
		if first != second || (err == nil) != (again == nil) || (err == nil) == (first == "") {
			t.Errorf("%s, %v; then %s, %v", first, err, second, again)
		}
	})
}

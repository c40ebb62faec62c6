package chartfile_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/chartfile"
	"github.com/consign-dev/consign/internal/reason"
)

const chartYAML = "apiVersion: v2\nname: hello\nversion: 1.2.3+build.7\nappVersion: \"1.0\"\nunknown: kept by nobody\n"

func chartDir(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(t *testing.T, data []byte) []string {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for tr := tar.NewReader(zr); ; {
		hdr, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, hdr.Name)
	}
}

func TestPackIsTheSameEveryTime(t *testing.T) {
	files := map[string]string{
		"Chart.yaml": chartYAML, "values.yaml": "a: 1\n", "templates/x.yaml": "kind: X\n", "templates/.hidden": "x",
		".helmignore": "# none of these\n*.bak\n/top.txt\ndocs/\nci/*.yaml\n",
		"old.bak":     "x", "top.txt": "x", "sub/top.txt": "x", "docs/a.md": "x", "sub/docs/b.md": "x", "ci/a.yaml": "x", "ci/a.txt": "x",
	}
	first, chart, err := chartfile.Pack(chartDir(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if chart.Name != "hello" || chart.Version != "1.2.3+build.7" || chart.Tag() != "1.2.3_build.7" {
		t.Errorf("%+v", chart)
	}
	if got, want := string(chart.Config), `{"apiVersion":"v2","appVersion":"1.0","name":"hello","version":"1.2.3+build.7"}`; got != want {
		t.Errorf("config %s, want %s", got, want)
	}
	want := []string{"hello/.helmignore", "hello/Chart.yaml", "hello/ci/a.txt", "hello/sub/top.txt", "hello/templates/x.yaml", "hello/values.yaml"}
	if got := names(t, first); !slices.Equal(got, want) {
		t.Errorf("packed %q, want %q", got, want)
	}
	again, _, err := chartfile.Pack(chartDir(t, files))
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("a second time: other bytes, %v", err)
	}
	read, err := chartfile.Read(first)
	if err != nil || read.Name != chart.Name || read.Version != chart.Version || !bytes.Equal(read.Config, chart.Config) {
		t.Errorf("read back: %+v, %v", read, err)
	}
}

func TestPackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		code  reason.Code
		says  string
	}{
		"a chart of Helm 2":     {map[string]string{"Chart.yaml": "apiVersion: v1\nname: a\nversion: 1.0.0\n"}, reason.Malformed, "apiVersion"},
		"a name with capitals":  {map[string]string{"Chart.yaml": "apiVersion: v2\nname: Hello\nversion: 1.0.0\n"}, reason.Malformed, "name"},
		"a name that leads out": {map[string]string{"Chart.yaml": "apiVersion: v2\nname: ../a\nversion: 1.0.0\n"}, reason.Malformed, "name"},
		"a version as number":   {map[string]string{"Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0\n"}, reason.Malformed, "version"},
		"a version with v":      {map[string]string{"Chart.yaml": "apiVersion: v2\nname: a\nversion: v1.0.0\n"}, reason.Malformed, "version"},
		"a library":             {map[string]string{"Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0\ntype: library\n"}, reason.Malformed, "type"},
		"a key twice":           {map[string]string{"Chart.yaml": "apiVersion: v2\nname: a\nname: b\nversion: 1.0.0\n"}, reason.Malformed, "name"},
		"a negated pattern":     {map[string]string{"Chart.yaml": chartYAML, ".helmignore": "a\n!b\n"}, reason.Malformed, ".helmignore, line 2"},
		"a double star":         {map[string]string{"Chart.yaml": chartYAML, ".helmignore": "**/b\n"}, reason.Malformed, ".helmignore, line 1"},
		"a pattern that is cut": {map[string]string{"Chart.yaml": chartYAML, ".helmignore": "[a\n"}, reason.Malformed, ".helmignore, line 1"},
		"a long Chart.yaml":     {map[string]string{"Chart.yaml": chartYAML + "#" + strings.Repeat("x", 1<<20)}, reason.TooLarge, "Chart.yaml"},
		"a long .helmignore":    {map[string]string{"Chart.yaml": chartYAML, ".helmignore": strings.Repeat("a\n", 1<<20)}, reason.TooLarge, ".helmignore"},
		"a long pattern":        {map[string]string{"Chart.yaml": chartYAML, ".helmignore": strings.Repeat("a", 1<<17)}, reason.Malformed, ".helmignore"},
		"files of 33 MiB":       {map[string]string{"Chart.yaml": chartYAML, "big": strings.Repeat("x", 33<<20)}, reason.TooLarge, "larger than"},
		"an archive of 9 MiB":   {map[string]string{"Chart.yaml": chartYAML, "big": strings.Repeat("x", 9<<20)}, reason.TooLarge, "at most"},
		"Chart.yaml left out":   {map[string]string{"Chart.yaml": chartYAML, ".helmignore": "Chart.yaml\n"}, reason.Archive, "Chart.yaml"},
	} {
		_, _, err := chartfile.Pack(chartDir(t, c.files))
		if !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s and %q", name, err, c.code, c.says)
		}
	}
	dir := chartDir(t, map[string]string{"Chart.yaml": chartYAML})
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "leak")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := chartfile.Pack(dir); !reason.Is(err, reason.Archive) || !strings.Contains(err.Error(), "leak") {
		t.Errorf("a link: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	good, _, err := chartfile.Pack(chartDir(t, map[string]string{"Chart.yaml": chartYAML}))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "no gzip": []byte("hello"), "half": good[:len(good)/2],
		"no Chart.yaml": targz(t, "hello/values.yaml", "a: 1"), "another level": targz(t, "a/b/Chart.yaml", chartYAML),
		"two": targz(t, "a/Chart.yaml", chartYAML, "b/Chart.yaml", chartYAML),
	} {
		if _, err := chartfile.Read(data); !reason.Is(err, reason.Archive) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := chartfile.Read(targz(t, "a/Chart.yaml", chartYAML+"#"+strings.Repeat("xy", 1<<19))); !reason.Is(err, reason.TooLarge) {
		t.Errorf("a long Chart.yaml: %v", err)
	}
	if _, err := chartfile.Read(targz(t, "a/zeros", strings.Repeat("\x00", 33<<20))); !reason.Is(err, reason.TooLarge) {
		t.Errorf("a bomb: %v", err)
	}
}

func targz(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	for i := 0; i < len(pairs); i += 2 {
		err := tw.WriteHeader(&tar.Header{Name: pairs[i], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(pairs[i+1]))})
		if _, werr := tw.Write([]byte(pairs[i+1])); errors.Join(err, werr) != nil {
			t.Fatal(err, werr)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func FuzzRead(f *testing.F) {
	f.Add(targz(f, "hello/Chart.yaml", chartYAML))
	f.Add(targz(f, "hello/values.yaml", "a: 1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := chartfile.Read(data)
		if err != nil {
			switch code := reason.Of(err); code {
			case reason.Malformed, reason.TooLarge, reason.Archive:
			default:
				t.Fatalf("refused as %q: %v", code, err)
			}
			return
		}
		if c.Name == "" || c.Version == "" || len(c.Config) == 0 {
			t.Fatalf("accepted %+v", c)
		}
	})
}

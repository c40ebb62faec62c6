package helm

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/composefile/hostile"
	"github.com/consign-dev/consign/internal/reason"
)

// The archives of the attacks on Compose components are none of charts either.
// (The reader is the same; its bounds are tested there.)
func TestChartArchivesAreReadStrictly(t *testing.T) {
	for _, row := range []string{"A1", "A2", "A3", "A5", "A6"} {
		archives := hostile.Archives(row, "/outside")
		if len(archives) == 0 {
			t.Errorf("%s has no archives", row)
		}
		for _, a := range archives {
			_, err := load(a.Data)
			if code := reason.Of(err); code != reason.Archive && code != reason.Path && code != reason.TooLarge && code != reason.Malformed {
				t.Errorf("%s %s: %v", row, a.Name, err)
			}
		}
	}
}

func TestPackedDependenciesAreBounded(t *testing.T) {
	dependency := files{"Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n"}
	nested := files{"Chart.yaml": chartYAML}
	for range maxNested + 1 {
		inner := pack(t, nested)
		nested = dependency.with("charts/sub.tgz", string(inner))
	}
	if _, err := load(pack(t, nested)); !reason.Is(err, reason.TooLarge) || !strings.Contains(err.Error(), "deep") {
		t.Errorf("nesting: %v", err)
	}
	noise := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyzABCDEF\n", (12<<20)/43)
	big := small(configMap)
	for i := range 3 { // each below the bound, not so together
		big[fmt.Sprintf("charts/s%d.tgz", i)] = string(pack(t, files{"Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: s%d\nversion: 1.0.0\n", i), "a": noise, "b": "x"}))
	}
	if _, err := load(pack(t, big)); !reason.Is(err, reason.TooLarge) {
		t.Errorf("sum: %v", err)
	}
	twice := small(configMap).with("charts/sub/Chart.yaml", dependency["Chart.yaml"], "charts/sub.tgz", string(pack(t, dependency)))
	if _, err := load(pack(t, twice)); !reason.Is(err, reason.Archive) || !strings.Contains(err.Error(), "packed and unpacked") {
		t.Errorf("twice: %v", err)
	}
	broken := small(configMap).with("charts/sub.tgz", "no archive")
	if _, err := load(pack(t, broken)); !reason.Is(err, reason.Archive) {
		t.Errorf("broken: %v", err)
	}
	if _, err := load(make([]byte, format.MaxPacked+1)); !reason.Is(err, reason.TooLarge) {
		t.Errorf("large: %v", err)
	}
}

// Helm sees the version of its library where a chart asks for it.
func TestHelmVersionIsTheLibrarys(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`helm\.sh/helm/v3 (v\S+)`).FindSubmatch(mod)
	if m == nil || string(m[1]) != helmVersion {
		t.Errorf("go.mod has %s, helmVersion is %s", m, helmVersion)
	}
}

func FuzzLoad(f *testing.F) {
	plain := func(archive []byte) []byte { // the fuzzer finds more in what is not packed
		zr, err := gzip.NewReader(bytes.NewReader(archive))
		if err != nil {
			f.Fatal(err)
		}
		var buf bytes.Buffer
		if _, err := buf.ReadFrom(zr); err != nil {
			f.Fatal(err)
		}
		return buf.Bytes()
	}
	for _, name := range []string{"database", "umbrella", "operator"} {
		f.Add(plain(pack(f, chartOf(f, name))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var buf bytes.Buffer
		zw := gzip.NewWriter(&buf)
		_, _ = zw.Write(data) // into memory
		_ = zw.Close()
		c, err := load(buf.Bytes())
		if err != nil {
			if code := reason.Of(err); code == reason.Internal || !code.Valid() {
				t.Errorf("refused as %q: %v", code, err)
			}
			return
		}
		if c.Metadata.APIVersion != "v2" || c.Name() == "" {
			t.Errorf("accepted %+v", c.Metadata)
		}
	})
}

package charts_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/apply/helm"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/chartfile"
	"github.com/consign-dev/consign/internal/world/charts"
	"github.com/consign-dev/consign/policy"
)

// TestNextVersionKeepsWhatWasMadeAnew: the passwords and certificates of a chart are
// those that its version before has made, and a render again changes nothing.
func TestNextVersionKeepsWhatWasMadeAnew(t *testing.T) {
	for _, c := range charts.All {
		if len(c.Volatile) == 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			first := render(t, c, version, nil)
			again := render(t, c, version, first.Render)
			if first.Digest != again.Digest {
				t.Error("a render of the same version is another one")
			}
			next := render(t, c, "1.1.0", first.Render)
			if next.Digest == first.Digest || len(next.Volatile) != len(c.Volatile) {
				t.Errorf("the next version has %d fields that are made anew, want %d", len(next.Volatile), len(c.Volatile))
			}
			for _, v := range next.Volatile {
				if !v.Kept {
					t.Errorf("%s%s is made anew", v.Object, v.Field)
				}
			}
		})
	}
}

func render(t *testing.T, c charts.Chart, version string, previous []byte) task.ChartResult {
	t.Helper()
	const pin = "127.0.0.1:5127/x/hello@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	out, err := helm.Render(t.Context(), task.ChartInput{
		Chart: archiveOf(t, c, version), Release: "c0123456789-" + c.Name, Namespace: "ns", Previous: previous,
		Values: map[string]json.RawMessage{}, Images: map[string]string{"localhost/hello:1.0.0": pin},
		Labels: map[string]string{task.LabelDeployment: "d-1"}, Limits: policy.Limits{}.Defaults(), Capabilities: apply.AnyCluster,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// archiveOf is the chart's archive, with the version in its Chart.yaml.
func archiveOf(t *testing.T, c charts.Chart, version string) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), c.Name)
	if err := os.CopyFS(dir, os.DirFS(c.Source())); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, chartfile.ChartFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "\nversion: 1.0.0", "\nversion: "+version, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	archive, _, err := chartfile.Pack(dir)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

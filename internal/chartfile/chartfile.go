// Package chartfile reads and writes the archives of Helm charts (.tgz), as far as
// whoever packs or checks a bundle must know them: what is in Chart.yaml. It
// renders nothing, and so needs nothing of Helm.
package chartfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/archive"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// ChartFile is the one file that every chart has (Helm, Charts: The Chart.yaml file).
const ChartFile = "Chart.yaml"

// Bounds. Like Compose archives, charts are held in memory on small devices.
const (
	maxContents  = 32 << 20
	maxChartFile = 1 << 20
)

// Chart is what Chart.yaml says of a chart.
type Chart struct {
	// Name and Version are Helm's; Version is SemVer 2.0.
	Name, Version string
	// Config is the content of Chart.yaml as JSON: the config blob of its OCI
	// manifest.
	Config []byte
}

// Tag is the version as an OCI tag, in which Helm and Margo write "_" for "+".
func (c Chart) Tag() string { return strings.ReplaceAll(c.Version, "+", "_") }

// Pack makes the archive of a chart's source, without what .helmignore names.
// The bytes depend on the names and contents of the files and on nothing else.
// Links and special files are refused (archive).
func Pack(dir string) ([]byte, Chart, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, Chart{}, fmt.Errorf("pack chart: %w", err)
	}
	defer root.Close()
	data, chart, err := pack(root.FS())
	if err != nil {
		return nil, Chart{}, fmt.Errorf("pack chart %s: %w", filepath.Clean(dir), err)
	}
	return data, chart, nil
}

func pack(tree fs.FS) ([]byte, Chart, error) {
	text, err := readFile(tree, ChartFile)
	if err != nil {
		return nil, Chart{}, err
	}
	chart, err := parse(text)
	if err != nil {
		return nil, Chart{}, err
	}
	ignored, err := readIgnore(tree)
	if err != nil {
		return nil, Chart{}, err
	}
	var out bytes.Buffer
	if err := archive.Write(&out, tree, archive.Options{Top: chart.Name, Max: maxContents, Skip: ignored.match}); err != nil {
		return nil, Chart{}, err
	}
	if _, err := Read(out.Bytes()); err != nil {
		return nil, Chart{}, err
	}
	return out.Bytes(), chart, nil
}

func readFile(tree fs.FS, name string) ([]byte, error) {
	f, err := tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxChartFile+1))
	if err != nil {
		return nil, err
	}
	return data, checkSize(name, data)
}

func checkSize(name string, data []byte) error {
	if len(data) > maxChartFile {
		return reason.New(reason.TooLarge, "%s has more than %d bytes", name, maxChartFile)
	}
	return nil
}

// format is that of applier-helm, whose bounds are those of a device.
var format = archive.Format{Name: "chart archive", MaxPacked: task.MaxChart, MaxContents: maxContents, MaxEntries: 4096}

// Read returns what the Chart.yaml of an archive says. It reads all of the
// archive, within bounds, so that one that is cut or too large is found.
func Read(data []byte) (Chart, error) {
	files, err := format.Read(data)
	if err != nil {
		return Chart{}, err
	}
	text, ok := files[ChartFile]
	if !ok {
		return Chart{}, reason.New(reason.Archive, "chart archive: no %s in its one directory", ChartFile)
	}
	if err := checkSize(ChartFile, text); err != nil {
		return Chart{}, err
	}
	return parse(text)
}

var (
	// Helm, Chart Best Practices, Chart Names; Margo 1.0.0-rc.3, component name.
	chartName = lazyregexp.New(`^[a-z0-9-]{1,200}$`)
	// Semantic Versioning 2.0.0, with "+" and without "v".
	chartVersion = lazyregexp.New(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
)

// fields are those of Chart.yaml that go into the config; Helm ignores others.
var fields = []string{
	"name", "home", "sources", "version", "description", "keywords", "maintainers", "icon", "apiVersion", "condition",
	"tags", "appVersion", "deprecated", "annotations", "kubeVersion", "dependencies", "type",
}

func parse(text []byte) (Chart, error) {
	node, err := strictyaml.Node(text, strictyaml.Limits{})
	if err != nil {
		return Chart{}, reason.Wrap(reason.Malformed, fmt.Errorf("%s: %w", ChartFile, err))
	}
	var all map[string]any
	if err := node.Decode(&all); err != nil {
		return Chart{}, reason.New(reason.Malformed, "%s: %w", ChartFile, err)
	}
	said := map[string]any{}
	for _, f := range fields {
		if v, ok := all[f]; ok && v != nil {
			said[f] = v
		}
	}
	return newChart(said)
}

func newChart(said map[string]any) (Chart, error) {
	var c Chart
	c.Name, _ = said["name"].(string)
	c.Version, _ = said["version"].(string)
	kind, typed := said["type"]
	switch {
	case said["apiVersion"] != "v2":
		return c, reason.New(reason.Malformed, "%s: apiVersion: want v2, charts of Helm 3 and 4 (Margo 1.0.0-rc.3, Helm components)", ChartFile)
	case !chartName.MatchString(c.Name):
		return c, reason.New(reason.Malformed, "%s: name: %.100q is not 1 to 200 lower-case letters, digits and dashes", ChartFile, c.Name)
	case !chartVersion.MatchString(c.Version):
		return c, reason.New(reason.Malformed, "%s: version: %.100q is not a semantic version, or not in quotes", ChartFile, c.Version)
	case typed && kind != "application":
		return c, reason.New(reason.Malformed, "%s: type: %.100v: only a chart of type application can be installed", ChartFile, kind)
	}
	var err error
	if c.Config, err = json.Marshal(said); err != nil {
		return c, reason.New(reason.Malformed, "%s: %w", ChartFile, err)
	}
	return c, nil
}

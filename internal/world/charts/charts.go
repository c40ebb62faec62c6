// Package charts has Helm charts of well-known shapes, which lie below
// testdata/charts, and what becomes of each: what is packed and planned of them is
// tested here, and the table is for tests that install them as well.
//
//	for _, c := range charts.All {
//		if c.Accepted() {
//			w.Publish("acme", version, c.Put(w, version))
//		}
//	}
//
// Every image is that of the example application, so that all pods would run.
package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// Chart is a chart and what becomes of it. The table of testdata/charts/README.md
// says the same.
type Chart struct {
	// Name is that of the directory, the chart, the component and the application.
	Name string
	// Packed is why it cannot be packed, "" if it can.
	Packed reason.Code
	// Planned is why a policy without grants refuses it, "" if it does not.
	Planned reason.Code
	// Says are the words of the refusal that matter: the object, its field, why.
	Says []string
	// Grants is what an operator grants, as grants.kubernetes in YAML flow style. With
	// it the chart is accepted; "" where it is accepted without, or never.
	Grants string
	// Volatile are the fields that are made anew at each render, as object and
	// pointer, with RELEASE for the release.
	Volatile []string
	// Lacks is what the cluster of kubetest does not have, so that claims or pods of the
	// chart wait there for ever; "" if all become ready.
	Lacks string
}

// Accepted reports whether the chart is accepted with its grants.
func (c Chart) Accepted() bool {
	return c.Packed == "" && (c.Planned == "" || c.Grants != "")
}

// Rules are the lines of the application's entry in a policy of [world.World.Rules].
func (c Chart) Rules() string {
	if c.Grants == "" {
		return ""
	}
	return "    grants: {kubernetes: {" + c.Grants + "}}\n"
}

// Source is the chart's directory.
func (c Chart) Source() string { return filepath.Join(Dir(), c.Name) }

// Dir is the directory that has one for each chart.
func Dir() string { return filepath.Join(world.Root(), "testdata", "charts") }

const description = `apiVersion: v1
id: %[1]s
metadata:
  name: %[1]s
  version: %[2]s
  catalog:
    organization: [{name: Example}]
deploymentProfiles:
  - type: helm
    id: helm
    components:
      - name: %[1]s
        properties:
          repository: oci://registry.example.com/charts/%[1]s
          revision: %[2]s
          wait: true
          timeout: 2m0s
`

// Put makes a package of the example's, as [world.World.Package] and
// [world.World.Publish] take it, one of the chart, with the example's image. Chart
// and image have the version.
func (c Chart) Put(w *world.World, version string) func(dir string) {
	return func(dir string) {
		w.T.Helper()
		components := filepath.Join(dir, "components")
		w.Must(os.RemoveAll(components))
		w.Must(os.CopyFS(filepath.Join(components, c.Name), os.DirFS(c.Source())))
		w.Must(filepath.WalkDir(components, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			return reversion(path, version)
		}))
		w.Must(os.WriteFile(filepath.Join(dir, "margo.yaml"), fmt.Appendf(nil, description, c.Name, version), 0o600))
	}
}

func reversion(path, version string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "1.0.0", version)), 0o600)
}

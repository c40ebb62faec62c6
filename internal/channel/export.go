package channel

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

// Export lays the metadata of a channel out below dir as a TUF repository of
// files, for any TUF client: dir/metadata/1.root.json and so on, with
// consistent snapshot names, and root.json, the newest root, for those that
// want one to begin with. Targets are OCI manifests and stay in the registry.
func Export(files map[string][]byte, dir string) error {
	to := filepath.Join(dir, "metadata")
	if err := durable.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("export channel: %w", err)
	}
	newest, root := int64(0), ""
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !title.MatchString(name) {
			return reason.New(reason.Path, "export channel: %q is not a TUF file name", name)
		}
		if number, ok := strings.CutSuffix(name, ".root.json"); ok {
			if v, err := strconv.ParseInt(number, 10, 64); err == nil && v > newest {
				newest, root = v, name
			}
		}
		if name != timestampFile {
			if err := durable.WriteFile(filepath.Join(to, name), files[name], 0o644); err != nil {
				return fmt.Errorf("export channel: %w", err)
			}
		}
	}
	if root == "" || files[timestampFile] == nil {
		return reason.New(reason.Malformed, "export channel: there is no root or no timestamp")
	}
	if err := durable.WriteFile(filepath.Join(to, "root.json"), files[root], 0o644); err != nil {
		return fmt.Errorf("export channel: %w", err)
	}
	// Last, so that a server of this directory never names what is not there.
	if err := durable.WriteFile(filepath.Join(to, timestampFile), files[timestampFile], 0o644); err != nil {
		return fmt.Errorf("export channel: %w", err)
	}
	return nil
}

package audit

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/lazyregexp"
)

// leftover matches the temporary files that Tessera's POSIX driver leaves when
// it is killed: the target's name with decimal digits after it. A tile's own
// name is three digits, below 256 inside a ".p".
var leftover = lazyregexp.New(`^([0-9]{4,}|(checkpoint|treeState|version)[0-9]+)$`)

// tidy removes the partial tiles and bundles whose full one is there, as C2SP
// tlog-tiles allows, and Tessera's leftovers. Without it a log that grows by
// single events keeps 29 KB per event. Tessera has a collector of its own, but
// it runs by the clock, beside the writer.
func tidy(dir string) error {
	var doomed []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		full, partial := strings.CutSuffix(path, ".p")
		switch {
		case d.IsDir() && partial:
			if _, err := os.Lstat(full); err == nil {
				doomed = append(doomed, path)
				return fs.SkipDir
			}
		case d.Type().IsRegular() && leftover.MatchString(d.Name()):
			doomed = append(doomed, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, path := range doomed {
		if err := durable.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

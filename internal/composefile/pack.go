package composefile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consign-dev/consign/internal/archive"
)

// topDirectory is the name of the one directory in archives that we make.
const topDirectory = "compose"

// Pack makes a Margo Compose archive of a directory that contains
// compose.yaml. The bytes depend on the names and contents of the files and on
// nothing else.
//
// Links and special files are refused (archive), as is whatever [Unpack]
// would refuse.
func Pack(dir string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("pack compose directory: %w", err)
	}
	defer root.Close()
	var out bytes.Buffer
	if err := archive.Write(&out, root.FS(), archive.Options{Top: topDirectory, Max: MaxContents, Directories: true}); err != nil {
		return nil, fmt.Errorf("pack compose directory %s: %w", filepath.Clean(dir), err)
	}
	if _, err := Unpack(out.Bytes()); err != nil {
		return nil, fmt.Errorf("pack compose directory %s: %w", filepath.Clean(dir), err)
	}
	return out.Bytes(), nil
}

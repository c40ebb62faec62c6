package composefile

import (
	"github.com/consign-dev/consign/internal/archive"
	"github.com/consign-dev/consign/internal/reason"
)

// Bounds on an archive, in bytes. Real ones hold a Compose file and some
// configuration.
const (
	MaxArchive  = 16 << 20
	MaxContents = 16 << 20
)

var format = archive.Format{Name: "compose archive", MaxPacked: MaxArchive, MaxContents: MaxContents, MaxEntries: 2048}

// Unpack reads a Margo Compose archive into memory, as [archive.Format.Read]
// does. Without a compose.yaml in its one directory it is refused (archive).
func Unpack(data []byte) (Files, error) {
	files, err := format.Read(data)
	if err != nil {
		return nil, err
	}
	if _, ok := files[ComposeFile]; !ok {
		return nil, reason.New(reason.Archive, "compose archive: no %s in the top-level directory (no other spelling is allowed)", ComposeFile)
	}
	return files, nil
}

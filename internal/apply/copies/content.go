package copies

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Content reads a tar archive and hashes what it holds: names, kinds,
// owners, modes, links, extended attributes and bytes, in the order of the
// archive, which is made by walking sorted directories. Times are left
// out: a restored directory is right even if its time is not.
func Content(archive io.Reader) (digest.Digest, error) {
	sum := sha256.New()
	for tr := tar.NewReader(archive); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return digest.NewDigest(digest.SHA256, sum), nil
		}
		if err != nil {
			return "", fmt.Errorf("read the archive: %w", err)
		}
		hashHeader(sum, h)
		if _, err := io.Copy(sum, tr); err != nil {
			return "", fmt.Errorf("read the archive: %s: %w", h.Name, err)
		}
	}
}

func hashHeader(sum hash.Hash, h *tar.Header) {
	fmt.Fprintf(sum, "%q %d %o %d:%d %q %d,%d", h.Name, h.Typeflag, h.Mode&0o7777, h.Uid, h.Gid, h.Linkname, h.Devmajor, h.Devminor)
	for _, name := range slices.Sorted(maps.Keys(h.PAXRecords)) {
		if strings.HasPrefix(name, "SCHILY.xattr.") {
			fmt.Fprintf(sum, " %q=%q", name, h.PAXRecords[name])
		}
	}
	fmt.Fprintf(sum, " %d\n", h.Size)
}

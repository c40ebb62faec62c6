package compose

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/reason"
)

// copyOut copies each volume into a file of its own and notes what it holds.
func (e *engine) copyOut(ctx context.Context, in task.SnapshotInput, volumes []task.Volume) error {
	room := in.Room
	for n := range volumes {
		v := &volumes[n]
		v.File = fmt.Sprintf("%d.tar", n)
		err := e.withHelper(ctx, owner{v.Project, in.Deployment}, in.Images[0], v.Name, func(id string) error {
			return e.copyVolume(ctx, id, filepath.Join(in.Dir, v.File), room, v)
		})
		room -= v.Size
		if err != nil {
			return fmt.Errorf("copy volume %s: %w", v.Name, err)
		}
	}
	return nil
}

func (e *engine) copyVolume(ctx context.Context, helper, path string, room int64, v *task.Volume) error {
	content, err := e.archive(ctx, helper)
	if err != nil {
		return err
	}
	defer content.Close()
	file, err := durable.OpenPartial(path+".part", 0o600)
	if err != nil {
		return err
	}
	if err = file.Reset(); err == nil {
		err = save(content, &bounded{to: file, left: room}, v)
	}
	if err != nil {
		return errors.Join(fullDisk(err), file.Close())
	}
	v.Size = file.Size()
	return file.Commit(path)
}

// archive streams the volume of a helper as tar.
func (e *engine) archive(ctx context.Context, helper string) (io.ReadCloser, error) {
	if err := step("copy"); err != nil {
		return nil, err
	}
	res, err := e.client.CopyFromContainer(ctx, helper, client.CopyFromContainerOptions{SourcePath: mountPath})
	if err != nil {
		return nil, engineError("read it", err)
	}
	return res.Content, nil
}

func (e *engine) readBack(ctx context.Context, helper string) (digest.Digest, error) {
	content, err := e.archive(ctx, helper)
	if err != nil {
		return "", err
	}
	defer content.Close()
	return contentDigest(content)
}

// save writes an archive to a file and notes the digests of both its bytes and
// its content.
func save(archive io.Reader, to io.Writer, v *task.Volume) error {
	bytes := sha256.New()
	tee := io.TeeReader(archive, io.MultiWriter(to, bytes))
	content, err := contentDigest(tee)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what follows the end mark
		return err
	}
	v.Content, v.Digest = content, digest.NewDigest(digest.SHA256, bytes)
	return nil
}

// contentDigest reads a tar archive and hashes what it holds: names, kinds,
// owners, modes, links, extended attributes and bytes, in the order of the
// archive, which an engine makes by walking sorted directories. Times are left
// out: a restored directory is right even if its time is not.
func contentDigest(archive io.Reader) (digest.Digest, error) {
	sum := sha256.New()
	for tr := tar.NewReader(archive); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return digest.NewDigest(digest.SHA256, sum), nil
		}
		if err != nil {
			return "", fmt.Errorf("read the engine's archive: %w", err)
		}
		hashHeader(sum, h)
		if _, err := io.Copy(sum, tr); err != nil {
			return "", fmt.Errorf("read the engine's archive: %s: %w", h.Name, err)
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

// bounded ends a copy that is larger than the engine's estimate, before it takes
// the space that log and state need.
type bounded struct {
	to   io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, reason.New(reason.NoSpace, "the copy is larger than what the engine said and than the space that may be used")
	}
	return b.to.Write(p)
}

func fullDisk(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return reason.Wrap(reason.NoSpace, err)
	}
	return err
}

// Package copies keeps the data of volumes as tar archives in a directory: it writes
// them within a bound, notes what they hold, and checks them before they are used.
// Where an archive comes from, an engine or a directory, is the callers' affair.
package copies

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// fileName is what a copy may be called: the name comes from outside.
var fileName = lazyregexp.New(`^[0-9]{1,4}\.tar$`)

// Named reports whether a file name is one of a copy.
func Named(file string) bool { return fileName.MatchString(file) }

// FileName is that of the n-th copy in a directory.
func FileName(n int) string { return fmt.Sprintf("%d.tar", n) }

// Save writes an archive, which may have so many bytes, to v.File in dir and notes in
// v its size and the digests of its bytes and of what it holds. One that is larger
// than the room ends with no-space.
func Save(archive io.Reader, dir string, room int64, v *task.Volume) error {
	path := filepath.Join(dir, v.File)
	file, err := durable.OpenPartial(path+".part", 0o600)
	if err != nil {
		return err
	}
	if err = file.Reset(); err == nil {
		err = save(archive, &bounded{to: file, left: room}, v)
	}
	if err != nil {
		return errors.Join(FullDisk(err), file.Close())
	}
	v.Size = file.Size()
	return file.Commit(path)
}

// save writes an archive to a file and notes the digests of both its bytes and
// its content.
func save(archive io.Reader, to io.Writer, v *task.Volume) error {
	bytes := sha256.New()
	tee := io.TeeReader(archive, io.MultiWriter(to, bytes))
	content, err := Content(tee)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what follows the end mark
		return err
	}
	v.Content, v.Digest = content, digest.NewDigest(digest.SHA256, bytes)
	return nil
}

// bounded ends a copy that is larger than the estimate before it takes the space
// that log and state need.
type bounded struct {
	to   io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, reason.New(reason.NoSpace, "the copy is larger than what was estimated and than the space that may be used")
	}
	return b.to.Write(p)
}

// FullDisk gives an error of a disk that is full, or of a quota, the reason no-space.
func FullDisk(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return reason.Wrap(reason.NoSpace, err)
	}
	return err
}

// Enough compares the data of so many volumes with the room for their copies in dir.
func Enough(need, room int64, volumes int, dir string) error {
	if need <= room {
		return nil
	}
	return reason.New(reason.NoSpace, "the data of %d volume(s) is %s, and copies in %s may take %s: free %s more",
		volumes, mib(need), dir, mib(room), mib(need-room))
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// Check reads a copy and compares it with what was recorded when it was made: data
// is not removed for a copy that is damaged.
func Check(dir string, v task.Volume) error {
	path := filepath.Join(dir, v.File)
	f, err := os.Open(path)
	if err != nil {
		return reason.Wrap(reason.DigestMismatch, err)
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(f, v.Size+1))
	if err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, hash); n != v.Size || got != v.Digest {
		return reason.New(reason.DigestMismatch, "%s is not what was copied (%s of %d bytes); its data is left as it is", path, v.Digest, v.Size)
	}
	return nil
}

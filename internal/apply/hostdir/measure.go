package hostdir

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/consign-dev/consign/internal/reason"
)

// tarBlock is what the archive's parts are multiples of.
const tarBlock = 512

// Measure says how many bytes an archive of the directory takes, about, and refuses
// (rule) one that could not be put back: we may not write there, or not give a file to
// whom it belongs. It is for when the application still runs.
func (d *Dir) Measure(ctx context.Context) (int64, error) {
	if err := unix.Faccessat(int(d.root.Fd()), ".", unix.W_OK|unix.X_OK, 0); err != nil {
		return 0, reason.New(reason.Rule, "this program may not write in %s: let the agent's service do so (docs/operations/kubernetes.md): %w", d.path, err)
	}
	own, err := ownRights()
	if err != nil {
		return 0, err
	}
	var size int64
	w := walk{Dir: d, live: true, visit: func(e *entry) error {
		if name := own.lack(e); name != "" {
			return reason.New(reason.Rule, "%.500q in %s belongs to user %d and group %d, and without %s it could not be put back: give it to the agent's service (docs/operations/kubernetes.md)",
				e.name, d.path, e.stat.Uid, e.stat.Gid, name)
		}
		size += tarBlock
		if e.kind() == unix.S_IFREG && e.stat.Nlink == 1 {
			size += (e.stat.Size + tarBlock - 1) / tarBlock * tarBlock
		} else if e.kind() == unix.S_IFREG { // its links share it
			size += e.stat.Size / int64(e.stat.Nlink)
		}
		return nil
	}}
	return size, w.run(ctx)
}

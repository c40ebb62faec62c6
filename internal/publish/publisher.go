package publish

import (
	"time"

	"github.com/consign-dev/consign/internal/oci"
)

// Publisher holds what every operation needs.
type Publisher struct {
	Client *oci.Client
	// Keys are those of the channel that the operation changes.
	Keys KeyDir
	// Now is the time that signatures are dated with.
	Now time.Time
	// Progress is told how much of a transfer is done; may be nil.
	Progress func(done, total int64)
	// Note is told in a sentence what became of an earlier change, where that
	// needs saying; may be nil.
	Note func(text string)
}

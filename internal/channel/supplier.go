package channel

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// OpenSupplier opens the trusted metadata of a release channel below dir and
// begins it from root, which the operator's policy vouches for, when it is new
// there. name is the policy's name of the channel. The directory is named by
// the root as well: a policy that names another root begins anew, which is how
// an operator recovers from a supplier who lost the old one.
func OpenSupplier(dir, name string, root []byte) (*tufclient.Client, error) {
	at := supplierDir(dir, name, root)
	client, err := tufclient.Open(at)
	if !errors.Is(err, fs.ErrNotExist) {
		return client, err
	}
	id, err := tufclient.RootIdentity(root)
	if err != nil {
		return nil, err
	}
	if id.Kind != KindReleases {
		return nil, reason.New(reason.WrongChannel, "the policy's root of channel %q is that of a %s", name, id)
	}
	if err := tufclient.Init(at, root, id); err != nil {
		return nil, err
	}
	return tufclient.Open(at)
}

// LookSupplier is [OpenSupplier] for a reader: a channel that is new here is
// fs.ErrNotExist, and nothing is begun.
func LookSupplier(dir, name string, root []byte) (*tufclient.Client, error) {
	return tufclient.Open(supplierDir(dir, name, root))
}

func supplierDir(dir, name string, root []byte) string {
	sum := sha256.Sum256(root)
	return filepath.Join(dir, name+"-"+hex.EncodeToString(sum[:8]))
}

package tufclient_test

import (
	"bytes"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// A root that was found good is remembered by its bytes: a changed one is looked at
// again, each time, and what a caller does with its buffer changes nothing.
func TestAGoodRootIsRememberedByItsBytes(t *testing.T) {
	w := newWorld(t)
	root := w.files["1.root.json"]
	buffer := bytes.Clone(root)
	if id, err := tufclient.RootIdentity(buffer); err != nil || id != channelA {
		t.Fatalf("%v, %v", id, err)
	}
	clear(buffer)
	if got := w.device().mustRefresh(day0).Files()["1.root.json"]; !bytes.Equal(got, root) {
		t.Errorf("a caller's buffer became a root: %.60q", got)
	}
	other, _, _ := bytes.Cut(root, []byte(`"sig":"`))
	forged := append(bytes.Clone(other), bytes.Replace(root[len(other):], []byte(`"sig":"`), []byte(`"sig":"00`), 1)...)
	for range 2 {
		if _, err := tufclient.RootIdentity(forged); !reason.Is(err, reason.UntrustedSigner) {
			t.Errorf("a root that nobody signed: %v", err)
		}
	}
}

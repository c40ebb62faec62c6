package verify

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// RecallInput is what ran on a device before, and what it is judged by today.
type RecallInput struct {
	// Policy is the operator's present policy.
	Policy *Policy
	// Channel is the trusted metadata of the release channel that the policy
	// names today. The caller reads it as of a time at which nothing has expired:
	// time can block an update, never a return to what ran.
	Channel *tufclient.Metadata
	// Order is the deployment that was applied, the exact bytes that were signed.
	Order []byte
	// Renders reads the exact objects that were applied, from the content store. It
	// is called when the version itself may run: what a disk has lost of it must not
	// hide that it may not.
	Renders func() ([]Render, error)
	Device  Device
	// Highest is the highest version that ever became healthy.
	Highest string
	// Endorsements are as for [Decide].
	Endorsements Documents
}

// Recall judges whether what ran before may run again: by today's policy, its
// floors and grants, the release channel's listing and the signatures. Only
// expiry is left out (see RecallInput.Channel), and the order need not be in
// the desired state any more: that it was applied is the device's own record.
//
// An application that passed once and fails here was withdrawn or disallowed
// since, and must not come back by way of a failed update (attack H11).
func Recall(ctx context.Context, in RecallInput, docs Documents) (*Permit, error) {
	o, err := readOrder(in.Order, in.Device.ID)
	if err != nil {
		return nil, err
	}
	o.digest, o.size = digest.SHA256.FromBytes(in.Order), int64(len(in.Order))
	rel, err := CheckRelease(ctx, ReleaseInput{
		Policy: in.Policy, Channel: in.Channel, ChannelName: o.terms.Bundle.Channel,
		Application: o.deployment.Spec.ApplicationID, Version: o.terms.Bundle.Version, Bundle: digest.Digest(o.terms.Bundle.Digest),
	}, docs)
	if err != nil {
		return nil, err
	}
	v, err := Decide(ctx, DecideInput{
		Order: o, Release: rel, Device: in.Device, History: History{Highest: in.Highest}, Endorsements: in.Endorsements,
	}, docs)
	if err != nil {
		return nil, err
	}
	renders, err := in.Renders()
	if err != nil {
		return nil, err
	}
	if len(renders) != len(v.components) {
		return nil, reason.New(reason.Render, "%d stored renders of %d components", len(renders), len(v.components))
	}
	return v.Permit(renders)
}

package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/policy"
)

// Orders is what an operator has signed for one device: its policy and its
// desired state. Only [ReadOrders] makes one.
type Orders struct {
	policy *Policy
	state  digest.Digest
	list   []*Order
	steps  []Step
}

// Policy is an operator's policy with the supplier roots that it names. Only
// [ReadPolicy] and [ReadOrders] make one.
type Policy struct {
	trust  *policy.TrustPolicy
	digest digest.Digest
	roots  map[string][]byte
	// trustedRoots are the Sigstore instances by the policy's names of them.
	trustedRoots map[string]*TrustedRoot
}

// Order is one Margo ApplicationDeployment of a device's desired state.
type Order struct {
	deployment *margo.ApplicationDeployment
	terms      margo.Order
	digest     digest.Digest
	size       int64
}

// Policy returns the operator's policy.
func (o *Orders) Policy() *Policy { return o.policy }

// State returns the digest of the desired-state manifest.
func (o *Orders) State() digest.Digest { return o.state }

// List returns the orders, as they stand in the desired state.
func (o *Orders) List() []*Order { return o.list }

// Steps returns the checks that were made.
func (o *Orders) Steps() []Step { return o.steps }

// Trust returns the parsed policy.
func (p *Policy) Trust() *policy.TrustPolicy { return p.trust }

// Digest returns the digest of the policy artifact's manifest.
func (p *Policy) Digest() digest.Digest { return p.digest }

// Root returns the initial TUF root of a release channel, exact bytes.
func (p *Policy) Root(channelName string) []byte { return p.roots[p.trust.Channels[channelName].Root] }

// Deployment returns the Margo document; its Raw field holds the signed bytes.
func (o *Order) Deployment() *margo.ApplicationDeployment { return o.deployment }

// Terms returns what the order's x-consign-extensions say.
func (o *Order) Terms() margo.Order { return o.terms }

// Digest returns the digest of the signed bytes of the deployment, and Size
// their length.
func (o *Order) Digest() digest.Digest { return o.digest }

// Size returns the length of the signed deployment in bytes.
func (o *Order) Size() int64 { return o.size }

// ReadOrders reads what the operator's channel says about a device. A device
// without a target gets reason no-order, which means "change nothing".
func ReadOrders(ctx context.Context, operator *tufclient.Metadata, device string, docs Documents) (orders *Orders, err error) {
	t := &trail{}
	defer t.contain(&err)
	t.pass("operator", "metadata chains to the pinned operator root and is current", "",
		"channel %s, valid until %s", operator.ID(), operator.Expires().Format("2006-01-02"))
	pol, err := readPolicy(ctx, t, operator, docs)
	if err != nil {
		return nil, err
	}
	const rule = "a desired state for this device, signed by the deploy role"
	target, err := operator.Target(channel.DeviceTarget(device))
	if errors.Is(err, tufclient.ErrNoTarget) {
		return nil, t.refuse("order", rule, "", reason.NoOrder, reason.New(reason.NoOrder, "the deployment channel has no target for device %q", device))
	}
	if err != nil {
		return nil, t.refuse("order", rule, "", reason.Malformed, err)
	}
	list, err := readState(ctx, target, device, docs)
	if err != nil {
		return nil, t.refuse("order", rule, target.Digest, reason.Malformed, err)
	}
	t.pass("order", rule, target.Digest, "%d deployment(s)", len(list))
	return &Orders{policy: pol, state: target.Digest, list: list, steps: t.steps}, nil
}

// ReadPolicy reads the policy of a deployment channel alone.
func ReadPolicy(ctx context.Context, operator *tufclient.Metadata, docs Documents) (*Policy, error) {
	return readPolicy(ctx, &trail{}, operator, docs)
}

func readPolicy(ctx context.Context, t *trail, operator *tufclient.Metadata, docs Documents) (*Policy, error) {
	const rule = "a policy signed by the operator's top-level targets role"
	target, err := operator.Target(channel.PolicyTarget)
	if errors.Is(err, tufclient.ErrNoTarget) {
		return nil, t.refuse("policy", rule, "", reason.Rule, reason.New(reason.Rule, "the deployment channel has no policy, and without one nothing is allowed: run 'publisher policy set'"))
	}
	if err != nil {
		return nil, t.refuse("policy", rule, "", reason.Malformed, err)
	}
	pol, err := loadPolicy(ctx, target, docs)
	if err != nil {
		return nil, t.refuse("policy", rule, target.Digest, reason.Malformed, fmt.Errorf("policy: %w", err))
	}
	t.pass("policy", rule, target.Digest, "%d application(s), %d release channel(s)", len(pol.trust.Applications), len(pol.trust.Channels))
	return pol, nil
}

func loadPolicy(ctx context.Context, target tufclient.Target, docs Documents) (*Policy, error) {
	// The policy decides what may run, so a delegated role may never supply it,
	// whatever paths it was given.
	if target.Role != "targets" {
		return nil, reason.New(reason.UntrustedSigner, "target %q is signed by role %q: it must be the top-level targets role", target.Name, target.Role)
	}
	return readPolicyArtifact(ctx, target.Digest, target.Length, docs)
}

func readPolicyArtifact(ctx context.Context, d digest.Digest, size int64, docs Documents) (*Policy, error) {
	manifest, err := readManifest(ctx, docs, d, size)
	if err != nil {
		return nil, err
	}
	artifact, err := bundle.ParsePolicy(manifest)
	if err != nil {
		return nil, err
	}
	text, err := readBlob(ctx, docs, artifact.Document)
	if err != nil {
		return nil, err
	}
	trust, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	roots := map[string][]byte{}
	for _, r := range artifact.Roots {
		if roots[r.Title], err = readBlob(ctx, docs, r.Layer); err != nil {
			return nil, fmt.Errorf("root %q: %w", r.Title, err)
		}
	}
	for name, c := range trust.Channels {
		if roots[c.Root] == nil {
			return nil, reason.New(reason.Malformed, "channels.%s.root: the policy artifact carries no file %q", name, c.Root)
		}
	}
	p := &Policy{trust: trust, digest: d, roots: roots, trustedRoots: map[string]*TrustedRoot{}}
	for name, t := range trust.TrustedRoots {
		if roots[t.File] == nil {
			return nil, reason.New(reason.Malformed, "trustedRoots.%s.file: the policy artifact carries no file %q", name, t.File)
		}
		if p.trustedRoots[name], err = ParseTrustedRoot(roots[t.File]); err != nil {
			return nil, fmt.Errorf("trustedRoots.%s: %s: %w", name, t.File, err)
		}
		if p.trustedRoots[name], err = p.trustedRoots[name].Witnessed(t.Witnesses); err != nil {
			return nil, fmt.Errorf("trustedRoots.%s: %w", name, err)
		}
	}
	return p, nil
}

func readState(ctx context.Context, target tufclient.Target, device string, docs Documents) ([]*Order, error) {
	manifest, err := readManifest(ctx, docs, target.Digest, target.Length)
	if err != nil {
		return nil, err
	}
	state, err := bundle.ParseDesiredState(manifest)
	if err != nil {
		return nil, err
	}
	var list []*Order
	seen := map[string]bool{}
	for _, desc := range state.Deployments {
		raw, err := readBlob(ctx, docs, desc)
		if err != nil {
			return nil, err
		}
		o, err := readOrder(raw, device)
		if err != nil {
			return nil, fmt.Errorf("deployment %s: %w", desc.Digest, err)
		}
		if seen[o.deployment.ID] {
			return nil, reason.New(reason.Malformed, "deployment id %q is listed twice", o.deployment.ID)
		}
		seen[o.deployment.ID] = true
		o.digest, o.size = desc.Digest, desc.Size
		list = append(list, o)
	}
	return list, nil
}

// readOrder insists on the device's id inside the signed bytes: a target's
// name alone could be another device's document put under this name.
func readOrder(raw []byte, device string) (*Order, error) {
	d, err := margo.ParseDeployment(raw)
	if err != nil {
		return nil, err
	}
	if d.Metadata.DeviceID != device {
		return nil, reason.New(reason.WrongDevice, "metadata.deviceId is %q, this device is %q", d.Metadata.DeviceID, device)
	}
	terms, err := d.Order()
	if err != nil {
		return nil, err
	}
	return &Order{deployment: d, terms: terms}, nil
}

// Descriptor describes the signed bytes of the deployment.
func (o *Order) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: bundle.MediaTypeDeployment, Digest: o.digest, Size: o.size}
}

// Channel returns the release channel that the policy calls name; a name that
// it does not have is refused with reason rule.
func (p *Policy) Channel(name string) (policy.ReleaseChannel, error) {
	c, ok := p.trust.Channels[name]
	if !ok {
		return c, reason.New(reason.Rule, "the policy names no release channel %q", name)
	}
	return c, nil
}

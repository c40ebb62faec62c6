package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/plan"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/verify"
)

// PlanInput is an order for several devices, to be looked at.
type PlanInput struct {
	// Order is what [Publisher.Deploy] would be given; Device is not used.
	Order   DeployInput
	Devices []string
	// Platform is rendered for; the zero value is the first that all images have.
	Platform ocispec.Platform
	// Renderer returns the renderer for a device.
	Renderer func(device string) plan.Renderer
}

// Planned is what [Publisher.Deploy] would sign for each device.
type Planned struct {
	Application string        `json:"application"`
	Version     string        `json:"version"`
	Bundle      digest.Digest `json:"bundle"`
	Channel     string        `json:"channel"`
	// Policy is the digest of the policy that was asked.
	Policy digest.Digest `json:"policy"`
	Orders []*plan.Order `json:"devices"`
}

// PlanDeploy says what [Publisher.Deploy] would change on each device. It signs
// nothing, opens no private key and leaves the key directory as it is: of that it
// reads the root and the newest metadata that this publisher has seen.
//
// A release that the policy does not accept is an error, as for Deploy; what is
// refused for one device is in its plan.
func (p *Publisher) PlanDeploy(ctx context.Context, in PlanInput) (*Planned, error) {
	shadow, clean, err := p.shadow()
	if err != nil {
		return nil, err
	}
	defer clean()
	s, err := shadow.look(ctx, in.Order.Channel, channel.KindDeployments)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rel, channelName, err := s.checkRelease(ctx, in.Order.Application, in.Order.Version)
	if err != nil {
		return nil, err
	}
	repo, err := p.appRepository(rel.Policy(), channelName, in.Order.Application)
	if err != nil {
		return nil, err
	}
	out := &Planned{
		Application: in.Order.Application, Version: in.Order.Version, Bundle: rel.Digest(), Channel: in.Order.Channel,
		Policy: rel.Policy().Digest(), Orders: []*plan.Order{},
	}
	for _, device := range in.Devices {
		o, err := s.planOrder(ctx, in, device, rel, channelName, repo)
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", device, err)
		}
		out.Orders = append(out.Orders, o)
	}
	return out, nil
}

// planOrder makes the deployment as Deploy does, and has it rehearsed.
func (s *session) planOrder(ctx context.Context, in PlanInput, device string, rel *verify.Release, channelName string, repo *oci.Repository) (*plan.Order, error) {
	in.Order.Device = device
	d, err := s.enrolledDevice(ctx, device)
	if err != nil {
		return nil, err
	}
	old := d.deploymentOf(in.Order.Application)
	var made Deployed
	listed := d.endorsementsOf(in.Order.Application, rel.Digest())
	if err := d.order(in.Order, rel, channelName, listed, &made); err != nil {
		return plan.Refused(device, rel, err), nil
	}
	input := plan.OrderInput{
		Device: device, Release: rel, Profile: made.Profile, Source: plan.Remote{Remote: gather.Remote{Repository: repo}},
		New: d.deploymentOf(in.Order.Application), Old: old, Platform: in.Platform,
		Endorsements: gather.Remote{Repository: s.repo},
	}
	if old != nil {
		if input.OldBundle, err = bundleOf(ctx, old, repo); err != nil {
			return nil, fmt.Errorf("what was ordered last: %w", err)
		}
	}
	return plan.OfOrder(ctx, input, in.Renderer(device))
}

func (d *deviceState) deploymentOf(application string) *margo.ApplicationDeployment {
	for _, deployment := range d.deployments {
		if deployment.Spec.ApplicationID == application {
			return deployment
		}
	}
	return nil
}

// endorsementsOf are those that the order of an application lists, if it is of the
// bundle d: nobody's word for one version counts for another.
func (d *deviceState) endorsementsOf(application string, b digest.Digest) []margo.EvidenceRef {
	old := d.deploymentOf(application)
	if old == nil {
		return nil
	}
	if terms, err := old.Order(); err == nil && terms.Bundle.Digest == string(b) {
		return terms.Endorsements
	}
	return nil
}

func bundleOf(ctx context.Context, d *margo.ApplicationDeployment, repo *oci.Repository) (ocispec.Descriptor, error) {
	terms, err := d.Order()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, _, err := repo.Manifest(ctx, digest.Digest(terms.Bundle.Digest), bundle.MaxManifestBytes)
	return desc, err
}

// shadow is the publisher with a temporary copy of its view of the channels and
// without keys, so that nothing that a plan does can reach what is kept.
func (p *Publisher) shadow() (*Publisher, func(), error) {
	temp, err := os.MkdirTemp("", "consign-plan-")
	if err != nil {
		return nil, nil, err
	}
	clean := func() { _ = os.RemoveAll(temp) }
	to := KeyDir{Path: temp, Passphrase: func() ([]byte, error) { return nil, errors.New("a plan needs no key") }}
	if err := p.Keys.copyView(to); err != nil {
		clean()
		return nil, nil, err
	}
	return &Publisher{Client: p.Client, Keys: to, Now: p.Now, Note: p.Note}, clean, nil
}

// copyView copies all but keys. Where nothing was seen yet, the root is enough.
func (k KeyDir) copyView(to KeyDir) error {
	for _, dir := range [][2]string{{k.stateDir(), to.stateDir()}, {k.suppliersDir(), to.suppliersDir()}} {
		if _, err := os.Stat(dir[0]); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := os.CopyFS(dir[1], os.DirFS(dir[0]))
		if errors.Is(err, fs.ErrNotExist) {
			err = reason.New(reason.Conflict, "another command is changing the channel of the keys in %s: %w", k.Path, err)
		}
		if err != nil {
			return err
		}
	}
	root, err := durable.ReadFile(k.rootFile(), tufclient.MaxRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return noChannel(k.Path)
	}
	if err != nil {
		return err
	}
	return durable.WriteFile(to.rootFile(), root, 0o600)
}

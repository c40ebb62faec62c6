package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/gather"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
	"github.com/consign-dev/consign/internal/tufrepo"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// SetPolicy makes the policy in a file, with the supplier roots that it names
// relative to that file, the policy of a deployment channel. It returns the
// digest of the policy artifact.
func (p *Publisher) SetPolicy(ctx context.Context, repository, file string) (digest.Digest, error) {
	a, err := packPolicy(file)
	if err != nil {
		return "", err
	}
	return a.manifest.Digest, p.change(ctx, repository, channel.KindDeployments, func(s *session) error {
		if err := a.push(ctx, s.repo); err != nil {
			return err
		}
		target := tufrepo.Target{Digest: a.manifest.Digest, Length: a.manifest.Size}
		if err := s.tuf.SetTarget(tufrepo.Targets, channel.PolicyTarget, target); err != nil {
			return err
		}
		return s.commit(ctx, []digest.Digest{a.manifest.Digest})
	})
}

func packPolicy(file string) (artifact, error) {
	text, err := durable.ReadFile(file, bundle.MaxDocumentBytes)
	if err != nil {
		return artifact{}, fmt.Errorf("read policy: %w", err)
	}
	trust, err := policy.Parse(text)
	if err != nil {
		return artifact{}, fmt.Errorf("%s: %w", file, err)
	}
	document := newBlob(bundle.MediaTypePolicyDocument, text)
	a := artifact{blobs: []blob{document}}
	content := bundle.Policy{Document: document.desc}
	added := map[string]bool{}
	for name, c := range trust.Channels {
		if added[c.Root] {
			continue
		}
		added[c.Root] = true
		root, err := readSupplierRoot(filepath.Join(filepath.Dir(file), c.Root))
		if err != nil {
			return a, fmt.Errorf("%s: channels.%s.root: %w", file, name, err)
		}
		layer := newBlob(bundle.MediaTypePolicyRoot, root)
		a.blobs = append(a.blobs, layer)
		content.Roots = append(content.Roots, bundle.Root{Title: c.Root, Layer: layer.desc})
	}
	for name, r := range trust.TrustedRoots {
		if added[r.File] {
			return a, reason.New(reason.Malformed, "%s: trustedRoots.%s.file: %q has another use in the policy already", file, name, r.File)
		}
		added[r.File] = true
		root, err := readTrustedRoot(filepath.Join(filepath.Dir(file), r.File))
		if err != nil {
			return a, fmt.Errorf("%s: trustedRoots.%s.file: %w", file, name, err)
		}
		layer := newBlob(bundle.MediaTypePolicyTrustedRoot, root)
		a.blobs = append(a.blobs, layer)
		content.Roots = append(content.Roots, bundle.Root{Title: r.File, Layer: layer.desc})
	}
	a.data, a.manifest, err = bundle.BuildPolicy(content)
	return a, err
}

// readTrustedRoot refuses, before it is signed, what a device could not read.
func readTrustedRoot(file string) ([]byte, error) {
	data, err := durable.ReadFile(file, verify.MaxTrustedRootBytes)
	if err != nil {
		return nil, err
	}
	if _, err := verify.ParseTrustedRoot(data); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return data, nil
}

// readSupplierRoot takes only the root of a release channel: an operator's own
// root put there by mistake would be found on the devices otherwise.
func readSupplierRoot(file string) ([]byte, error) {
	root, err := durable.ReadFile(file, tufclient.MaxRoot)
	if err != nil {
		return nil, err
	}
	id, err := tufclient.RootIdentity(root)
	if err != nil {
		return nil, err
	}
	if id.Kind != channel.KindReleases {
		return nil, reason.New(reason.WrongChannel, "%s is the root of a %s, want that of a release channel", file, id)
	}
	return root, nil
}

// AddDevice enrols a device: it gets a target of its own with nothing to run,
// and its log key and the types of profiles that it applies are recorded under the
// deploy role's signature. For a device that is enrolled already the types are
// recorded anew; without any, those that are recorded stay.
func (p *Publisher) AddDevice(ctx context.Context, repository, device, logKey string, profileTypes ...string) error {
	if err := margo.CheckDeviceID(device); err != nil {
		return err
	}
	if err := checkLogKey(device, logKey); err != nil {
		return err
	}
	if err := margo.CheckAppliedTypes(profileTypes); err != nil {
		return reason.New(reason.Malformed, "profile types of device %q: %w", device, err)
	}
	return p.change(ctx, repository, channel.KindDeployments, func(s *session) error {
		return s.enrol(ctx, device, logKey, profileTypes)
	})
}

func (s *session) enrol(ctx context.Context, device, logKey string, profileTypes []string) error {
	d, err := s.readDevice(ctx, device)
	if err != nil && !errors.Is(err, tufclient.ErrNoTarget) {
		return err
	}
	if err == nil && d.custom.LogKey != "" && d.custom.LogKey != logKey {
		return reason.New(reason.Exists, "device %q is enrolled with log key %s: a new key is a new device, give it a new id", device, d.custom.LogKey)
	}
	d.custom.LogKey = logKey
	if len(profileTypes) > 0 {
		d.custom.ProfileTypes = profileTypes
	}
	return s.writeDevice(ctx, device, d)
}

func checkLogKey(device, logKey string) error {
	v, err := audit.ParseVerifierKey(logKey)
	if err != nil {
		return fmt.Errorf("log key: %w; want it as 'agent init' printed it", err)
	}
	if v.Name() != audit.Origin(device) {
		return reason.New(reason.WrongDevice, "the log key is of %q, that of device %q begins with %q", v.Name(), device, audit.Origin(device))
	}
	return nil
}

// deviceState is a device's target as the channel has it.
type deviceState struct {
	custom      channel.DeviceCustom
	deployments []*margo.ApplicationDeployment
}

func (s *session) readDevice(ctx context.Context, device string) (deviceState, error) {
	var d deviceState
	target, err := s.meta.Target(channel.DeviceTarget(device))
	if err != nil {
		return d, err
	}
	if d.custom, err = channel.ParseDeviceCustom(target.Custom); err != nil {
		return d, fmt.Errorf("device %q: %w", device, err)
	}
	d.deployments, err = readDeployments(ctx, target, gather.Remote{Repository: s.repo})
	return d, err
}

// readDeployments reads the orders of a device's target.
func readDeployments(ctx context.Context, target tufclient.Target, docs gather.Remote) ([]*margo.ApplicationDeployment, error) {
	data, err := docs.Manifest(ctx, target.Digest, target.Length)
	if err != nil {
		return nil, err
	}
	state, err := bundle.ParseDesiredState(data)
	if err != nil {
		return nil, err
	}
	var out []*margo.ApplicationDeployment
	for _, desc := range state.Deployments {
		raw, err := docs.Blob(ctx, desc)
		if err != nil {
			return nil, err
		}
		deployment, err := margo.ParseDeployment(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, deployment)
	}
	return out, nil
}

// enrolledDevice is readDevice for a change that needs the device to be there.
func (s *session) enrolledDevice(ctx context.Context, device string) (deviceState, error) {
	d, err := s.readDevice(ctx, device)
	if errors.Is(err, tufclient.ErrNoTarget) {
		return d, reason.New(reason.NoOrder, "device %q is not enrolled: run 'publisher device add' with the log key that 'agent init' printed", device)
	}
	return d, err
}

func (s *session) writeDevice(ctx context.Context, device string, d deviceState) error {
	a, err := packState(d.deployments)
	if err != nil {
		return err
	}
	if err := a.push(ctx, s.repo); err != nil {
		return err
	}
	custom, err := json.Marshal(d.custom)
	if err != nil {
		return err
	}
	target := tufrepo.Target{Digest: a.manifest.Digest, Length: a.manifest.Size, Custom: custom}
	if err := s.tuf.SetTarget(tufrepo.Deploy, channel.DeviceTarget(device), target); err != nil {
		return err
	}
	keep := []digest.Digest{a.manifest.Digest}
	listed, err := endorsements(d.deployments)
	if err != nil {
		return err
	}
	for _, e := range listed {
		keep = append(keep, e.Digest)
	}
	return s.commit(ctx, keep)
}

func packState(deployments []*margo.ApplicationDeployment) (artifact, error) {
	sort.Slice(deployments, func(i, j int) bool { return deployments[i].ID < deployments[j].ID })
	var a artifact
	var layers []ocispec.Descriptor
	for _, d := range deployments {
		b := newBlob(bundle.MediaTypeDeployment, d.Raw)
		a.blobs = append(a.blobs, b)
		layers = append(layers, b.desc)
	}
	var err error
	a.data, a.manifest, err = bundle.BuildDesiredState(bundle.DesiredState{Deployments: layers})
	return a, err
}

// DeployInput is one order.
type DeployInput struct {
	// Channel is the deployment channel's repository.
	Channel     string
	Application string
	Version     string
	// Device is the Margo id of the device.
	Device string
	// Profile is the id of the package's profile; "" for the one that fits the
	// device, see [margo.ApplicationDescription.ChooseProfile].
	Profile string
	// Values are parameters as text; what is not named keeps its value, and the
	// package's default the first time.
	Values map[string]string
	// Secrets are names of files on the device, by secret parameter; what is not
	// named keeps its file.
	Secrets map[string]string
	// AllowDowngrade lets the device go below the highest version it ran.
	AllowDowngrade bool
	// DeleteVolumes asks that data goes when the deployment is removed.
	DeleteVolumes bool
	// Endorsements are listed with the order, beside those that an order of the
	// same bundle lists.
	Endorsements []Attestation
}

// Deployed says what was ordered.
type Deployed struct {
	Device      string `json:"device"`
	Deployment  string `json:"deployment"`
	Application string `json:"application"`
	Version     string `json:"version"`
	// Profile is the id of the package's profile.
	Profile  string        `json:"profile"`
	Bundle   digest.Digest `json:"bundle"`
	Replaces string        `json:"replaces,omitempty"`
}

// Deploy orders a released bundle for a device. The release is verified with
// the channel's own policy first, so an order that no device would accept is
// not signed.
func (p *Publisher) Deploy(ctx context.Context, in DeployInput) (*Deployed, error) {
	var out *Deployed
	err := p.change(ctx, in.Channel, channel.KindDeployments, func(s *session) error {
		var err error
		out, err = s.deploy(ctx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *session) deploy(ctx context.Context, in DeployInput) (*Deployed, error) {
	rel, channelName, err := s.checkRelease(ctx, in.Application, in.Version)
	if err != nil {
		return nil, err
	}
	d, err := s.enrolledDevice(ctx, in.Device)
	if err != nil {
		return nil, err
	}
	out := &Deployed{Device: in.Device, Application: in.Application, Version: in.Version, Bundle: rel.Digest()}
	listed, err := s.endorse(ctx, in, rel, d.endorsementsOf(in.Application, rel.Digest()))
	if err != nil {
		return nil, err
	}
	if err := d.order(in, rel, channelName, listed, out); err != nil {
		return nil, err
	}
	return out, s.writeDevice(ctx, in.Device, d)
}

// order puts a deployment into the state, in the place of the one that the
// device has of the same application.
func (d *deviceState) order(in DeployInput, rel *verify.Release, channelName string, listed []margo.EvidenceRef, out *Deployed) error {
	input := margo.NewDeploymentInput{
		ID: uuid.NewString(), Name: deploymentName(in.Application), Namespace: "consign", DeviceID: in.Device,
		Values: in.Values, Secrets: in.Secrets,
		Order: margo.Order{
			Bundle:         margo.BundleRef{Channel: channelName, Version: in.Version, Digest: string(rel.Digest())},
			AllowDowngrade: in.AllowDowngrade, Endorsements: listed,
		},
	}
	if in.DeleteVolumes {
		input.Order.OnRemove.Volumes = "delete"
	}
	old := d.deploymentOf(in.Application)
	if old != nil {
		out.Replaces = inherit(&input, old)
	}
	profile, err := rel.Description().ChooseProfile(d.choice(in.Profile, old))
	if err != nil {
		return err
	}
	input.ProfileID, out.Profile = profile.ID, profile.ID
	raw, err := margo.NewDeployment(rel.Description(), input)
	if err != nil {
		return err
	}
	deployment, err := margo.ParseDeployment(raw)
	if err != nil {
		return err
	}
	if err := deployment.CheckFits(rel.Description()); err != nil {
		return err
	}
	out.Deployment = deployment.ID
	d.put(deployment)
	return nil
}

func (d *deviceState) choice(profile string, old *margo.ApplicationDeployment) margo.ProfileChoice {
	c := margo.ProfileChoice{ID: profile, Applied: d.custom.ProfileTypes}
	if old != nil {
		c.Previous = old.Spec.DeploymentProfile.Type
	}
	return c
}

// inherit gives an order what the one that it replaces has, and returns the
// version of that.
func inherit(input *margo.NewDeploymentInput, old *margo.ApplicationDeployment) string {
	input.ID, input.Previous = old.ID, map[string]any{}
	for name, v := range old.Spec.Parameters {
		input.Previous[name] = v.Value
	}
	terms, err := old.Order()
	if err != nil {
		return ""
	}
	input.PreviousSecrets = terms.Secrets
	return terms.Bundle.Version
}

// put replaces the deployment of the same application, or adds one.
func (d *deviceState) put(deployment *margo.ApplicationDeployment) {
	same := func(old *margo.ApplicationDeployment) bool {
		return old.Spec.ApplicationID == deployment.Spec.ApplicationID
	}
	list := slices.Clone(d.deployments)
	if at := slices.IndexFunc(list, same); at >= 0 {
		list[at] = deployment
	} else {
		list = append(list, deployment)
	}
	d.deployments = list
}

// Undeploy takes an application out of a device's desired state. The device
// removes it if the policy lets it.
func (p *Publisher) Undeploy(ctx context.Context, repository, application, device string) error {
	return p.change(ctx, repository, channel.KindDeployments, func(s *session) error {
		return s.undeploy(ctx, application, device)
	})
}

func (s *session) undeploy(ctx context.Context, application, device string) error {
	d, err := s.enrolledDevice(ctx, device)
	if err != nil {
		return err
	}
	var kept []*margo.ApplicationDeployment
	for _, old := range d.deployments {
		if old.Spec.ApplicationID != application {
			kept = append(kept, old)
		}
	}
	if len(kept) == len(d.deployments) {
		return reason.New(reason.NoOrder, "device %q has no deployment of %q", device, application)
	}
	d.deployments = kept
	return s.writeDevice(ctx, device, d)
}

// checkRelease verifies a release by the channel's policy and returns it with
// the policy's name of its channel.
func (s *session) checkRelease(ctx context.Context, application, version string) (*verify.Release, string, error) {
	pol, err := verify.ReadPolicy(ctx, s.meta, gather.Remote{Repository: s.repo})
	if err != nil {
		return nil, "", err
	}
	app, err := pol.Trust().Application(application)
	if err != nil {
		return nil, "", err
	}
	dir := s.p.Keys.suppliersDir()
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	rel, err := s.p.verifyRelease(ctx, dir, pol, app.Channel, application, version)
	return rel, app.Channel, err
}

// VerifyRelease judges a release by the policy of a deployment channel, as
// devices do, and changes nothing.
func (p *Publisher) VerifyRelease(ctx context.Context, repository, application, version string) (*verify.Release, error) {
	s, err := p.look(ctx, repository, channel.KindDeployments)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rel, _, err := s.checkRelease(ctx, application, version)
	return rel, err
}

func (p *Publisher) verifyRelease(ctx context.Context, dir string, pol *verify.Policy, channelName, application, version string) (*verify.Release, error) {
	supplier := pol.Trust().Channels[channelName]
	repo, err := p.Client.Repository(supplier.Repository)
	if err != nil {
		return nil, err
	}
	client, err := channel.OpenSupplier(dir, channelName, pol.Root(channelName))
	if err != nil {
		return nil, err
	}
	meta, _, err := channel.Refresh(ctx, repo, client, p.Now, channel.ReleaseTarget(application, version))
	if err != nil {
		return nil, fmt.Errorf("release channel %s: %w", channelName, err)
	}
	app, err := p.appRepository(pol, channelName, application)
	if err != nil {
		return nil, err
	}
	return verify.CheckRelease(ctx, verify.ReleaseInput{
		Policy: pol, Channel: meta, ChannelName: channelName, Application: application, Version: version,
	}, gather.Remote{Repository: app})
}

// appRepository is where a supplier keeps the bundles of an application.
func (p *Publisher) appRepository(pol *verify.Policy, channelName, application string) (*oci.Repository, error) {
	place, err := channel.AppRepository(pol.Trust().Channels[channelName].Repository, application)
	if err != nil {
		return nil, err
	}
	return p.Client.Repository(place)
}

// deploymentName makes a Kubernetes name (RFC 1123 label, 63 bytes) of an
// application id, which may be longer; it is for people and other fleet tools.
func deploymentName(application string) string {
	name := strings.Trim(application, "-")
	return strings.TrimRight(name[:min(len(name), 63)], "-")
}

package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

// History is what the device remembers of a deployment.
type History struct {
	// Highest is the highest version that ever became healthy under this
	// deployment id, "" for none.
	Highest string
	// Previous is the deployment that was last applied, nil for none. Settings
	// that the package calls immutable must keep its values.
	Previous *margo.ApplicationDeployment
}

// DecideInput is an order, the release that it names, and the device.
type DecideInput struct {
	Order   *Order
	Release *Release
	Device  Device
	History History
	// Endorsements lends the evidence that the order lists: it lies in the
	// deployment channel's repository.
	Endorsements Documents
}

// Decide judges an order on a device: it fits the signed package, the device is
// eligible, no floor is passed, those whose word the policy asks for beside the
// supplier's have given it, the policy's conditions hold, and there is an image for
// the platform.
func Decide(ctx context.Context, in DecideInput, docs Documents) (verdict *Verdict, err error) {
	t := &trail{steps: append([]Step(nil), in.Release.steps...)}
	defer t.contain(&err)
	if err := checkFit(t, in); err != nil {
		return nil, err
	}
	if err := checkDevice(t, in); err != nil {
		return nil, err
	}
	if err := checkFloor(t, in); err != nil {
		return nil, err
	}
	endorsed, documents, err := checkEndorsements(ctx, t, in)
	if err != nil {
		return nil, err
	}
	if _, err := judgeRules(t, in, endorsed); err != nil {
		return nil, err
	}
	c, err := resolve(ctx, t, in, docs)
	if err != nil {
		return nil, err
	}
	c.documents = append(c.documents, documents...)
	return &Verdict{content: c, order: in.Order, release: in.Release, steps: t.steps}, nil
}

// checkFit keeps a deploy key inside what the supplier declared (attack T29).
func checkFit(t *trail, in DecideInput) error {
	const rule = "the deployment fits the signed package: same application, profile, parameters and values within the schema"
	d, r, terms := in.Order.deployment, in.Release, in.Order.terms
	err := func() error {
		if d.Spec.ApplicationID != r.bundle.Application {
			return reason.New(reason.DeploymentMismatch, "spec.applicationId is %q, the bundle is of %q", d.Spec.ApplicationID, r.bundle.Application)
		}
		if terms.Bundle.Version != r.bundle.Version || terms.Bundle.Digest != string(r.digest) {
			return reason.New(reason.DeploymentMismatch, "the order names bundle %s %s, verified was %s %s", terms.Bundle.Version, terms.Bundle.Digest, r.bundle.Version, r.digest)
		}
		if err := d.CheckFits(r.description); err != nil {
			return err
		}
		if err := r.rules.Grants.CheckSecrets(slices.Sorted(maps.Values(terms.Secrets))); err != nil {
			return err
		}
		if in.History.Previous == nil {
			return nil
		}
		return d.CheckImmutable(in.History.Previous, r.description)
	}()
	if err != nil {
		return t.refuse("fit", rule, in.Order.digest, reason.DeploymentMismatch, err)
	}
	t.pass("fit", rule, in.Order.digest, "profile %s, %d parameter(s), %d secret(s)", d.Spec.DeploymentProfile.Type, len(d.Spec.Parameters), len(terms.Secrets))
	return nil
}

func checkDevice(t *trail, in DecideInput) error {
	const rule = "the device meets the package's constraints and has an applier for the profile"
	profile := in.Order.deployment.Spec.DeploymentProfile
	err := in.Device.hasApplier(profile.Type)
	if err == nil {
		err = profile.DeviceConstraints.Eligible(in.Device.Capabilities)
	}
	if err != nil {
		return t.refuse("device", rule, in.Release.descDigest, reason.Ineligible, err)
	}
	t.pass("device", rule, in.Release.descDigest, "device %s, profile type %s", in.Device.ID, profile.Type)
	return nil
}

func (d Device) hasApplier(profileType string) error {
	appliers := d.Appliers
	if appliers == nil {
		appliers = []string{margo.TypeCompose}
	}
	if !slices.Contains(appliers, profileType) {
		return reason.New(reason.Ineligible, "profile type %q: this device applies %s profiles only", profileType, strings.Join(appliers, " and "))
	}
	return nil
}

func checkFloor(t *trail, in DecideInput) error {
	const rule = "not lower than the highest version that ran here, unless the order allows a downgrade"
	version, highest := in.Release.bundle.Version, in.History.Highest
	if highest != "" && !in.Order.terms.AllowDowngrade {
		if err := atLeast(version, highest); err != nil {
			return t.refuse("floor", rule, in.Order.digest, reason.Downgrade,
				fmt.Errorf("highest version that ran under this deployment: %w", err))
		}
	}
	found := "first installation"
	if highest != "" {
		found = "highest so far " + highest
	}
	t.pass("floor", rule, in.Order.digest, "%s", found)
	return nil
}

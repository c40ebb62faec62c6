package verify

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// Rehearsal is what a deployment that nobody has signed would come to on a
// device. It can be rendered, and its renders can be held against the grants,
// by the code that judges a signed one; nothing more. No [Verdict] and no
// [Permit] can be made from it, and it gives away neither the order nor an
// unlisted release from which one could.
type Rehearsal struct {
	content
	steps   []Step
	unknown []string
}

// RehearseInput is an order before it is signed.
type RehearseInput struct {
	// Deployment is the Margo document that would be signed.
	Deployment []byte
	// Release is listed and signed: an order is refused for anything else.
	Release *Release
	// Device is what is known of the device. Nil Capabilities are "not known
	// here", not "none" as for [Decide].
	Device  Device
	History History
	// Endorsed, if not nil, takes the place of the evidence that the order lists.
	Endorsed []margo.EvidenceRef
	// Endorsements are as for [Decide]; nil where nothing is listed, and
	// [RehearseUnlisted] says so.
	Endorsements Documents
}

// Rehearse judges a deployment as [Decide] would after it was signed, as far as
// the input tells. The refusals are the same; what only the device can tell is
// left out and is in [Rehearsal.Unknown].
func Rehearse(ctx context.Context, in RehearseInput, docs Documents) (*Rehearsal, error) {
	t := &trail{steps: append([]Step(nil), in.Release.steps...)}
	return rehearse(ctx, t, in, docs)
}

func rehearse(ctx context.Context, t *trail, in RehearseInput, docs Documents) (*Rehearsal, error) {
	d := digest.SHA256.FromBytes(in.Deployment)
	order, err := readOrder(in.Deployment, in.Device.ID)
	if err != nil {
		return nil, t.refuse("order", "a deployment for this device, not signed yet", d, reason.Malformed, err)
	}
	if in.Endorsed != nil {
		order.terms.Endorsements = in.Endorsed
	}
	order.digest, order.size = d, int64(len(in.Deployment))
	decide := DecideInput{Order: order, Release: in.Release, Device: in.Device, History: in.History, Endorsements: in.Endorsements}
	if err := checkFit(t, decide); err != nil {
		return nil, err
	}
	r := &Rehearsal{}
	if err := r.checkDevice(t, decide); err != nil {
		return nil, err
	}
	if err := checkFloor(t, decide); err != nil {
		return nil, err
	}
	if err := r.checkEndorsements(ctx, t, decide); err != nil {
		return nil, err
	}
	if r.content, err = resolve(ctx, t, decide, docs); err != nil {
		return nil, err
	}
	r.steps = t.steps
	r.notePaths(in.Device)
	if h := in.History.Highest; h != "" {
		r.note("the highest version that ran on the device: known here is %s, ordered last", h)
	}
	return r, nil
}

// checkDevice leaves the package's constraints to the device when nobody here
// knows what it can do.
func (r *Rehearsal) checkDevice(t *trail, in DecideInput) error {
	profile := in.Order.deployment.Spec.DeploymentProfile
	if in.Device.Appliers == nil && profile.Type == margo.TypeHelm {
		in.Device.Appliers = []string{margo.TypeHelm}
		r.note("whether the device has an applier for helm profiles")
	}
	if profile.DeviceConstraints == nil || in.Device.Capabilities != nil {
		return checkDevice(t, in)
	}
	if err := in.Device.hasApplier(profile.Type); err != nil {
		return t.refuse("device", "the device has an applier for the profile", in.Release.descDigest, reason.Ineligible, err)
	}
	r.note("whether the device meets the package's deviceConstraints")
	return nil
}

// checkEndorsements leaves to the device what nobody here can read, and the rules
// that depend on it.
func (r *Rehearsal) checkEndorsements(ctx context.Context, t *trail, in DecideInput) error {
	var found findings
	var open []policy.Open
	if in.Endorsements == nil {
		open = []policy.Open{{"evidence"}, {"deployment"}, {"device"}} // nobody has ordered it yet
	} else {
		var err error
		if found, _, err = checkEndorsements(ctx, t, in); err != nil {
			return err
		}
	}
	if in.Device.Platform.OS == "" {
		open = append(open, policy.Open{"device", "platform"})
	}
	left, err := judgeRules(t, in, found, open...)
	for _, rule := range left {
		r.note("the rule %s: it depends on the device, or on evidence that is not there yet", rule.Name)
	}
	return err
}

func (r *Rehearsal) notePaths(d Device) {
	for _, s := range r.grants.Compose {
		if len(s.HostPaths) > 0 && d.Reserved == nil {
			r.note("which host paths the device keeps for itself: they are refused although they are granted")
			return
		}
	}
}

func (r *Rehearsal) note(format string, args ...any) {
	r.unknown = append(r.unknown, fmt.Sprintf(format, args...))
}

// Steps returns the checks that were made.
func (r *Rehearsal) Steps() []Step { return r.steps }

// Unknown lists what only the device, or a signature that is yet to be made, can
// tell. Each is a check that the device makes and that was not made here.
func (r *Rehearsal) Unknown() []string { return r.unknown }

// Grants returns what the renders are held against.
func (r *Rehearsal) Grants() policy.Grants { return r.grants }

// CheckRenders makes the checks of [Verdict.Permit] and returns all steps from
// the first. It permits nothing.
func (r *Rehearsal) CheckRenders(renders []Render) ([]Step, error) {
	t := &trail{steps: append([]Step(nil), r.steps...)}
	if _, err := r.checkRenders(t, renders); err != nil {
		return nil, err
	}
	return t.steps, nil
}

package verify

import (
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// checkRules evaluates the conditions of the policy over what was verified. Those
// that depend on what is open are left, and returned.
func (r *Release) checkRules(t *trail, v policy.View, open ...policy.Open) ([]policy.Rule, error) {
	judged, err := r.rules.JudgeRules(v, open...)
	var left []policy.Rule
	for _, j := range judged {
		if j.Open {
			left = append(left, j.Rule)
			continue
		}
		t.pass("rule", ruleText(j.Rule), r.policy.digest, "it holds")
	}
	if err != nil {
		return nil, t.refuse("rule", ruleText(r.rules.Rules[len(judged)]), r.policy.digest, reason.Rule, err)
	}
	return left, nil
}

func ruleText(r policy.Rule) string { return fmt.Sprintf("%s: %s", r.Name, r.Expression) }

// judgeRules holds an order on a device against the rules.
func judgeRules(t *trail, in DecideInput, endorsed findings, open ...policy.Open) ([]policy.Rule, error) {
	if len(in.Release.rules.Rules) == 0 {
		return nil, nil
	}
	v, err := in.view(in.Release.found.with(endorsed))
	if err != nil {
		return nil, err
	}
	return in.Release.checkRules(t, v, open...)
}

// view is what rules see of an order, its release and the device.
func (in DecideInput) view(found findings) (policy.View, error) {
	v := in.Release.view(found)
	d := in.Order.deployment
	values := map[string]any{}
	for name, p := range d.Spec.Parameters {
		if p.Value != nil {
			values[name] = p.Value
		}
	}
	parameters, err := structpb.NewStruct(values)
	if err != nil {
		return v, reason.New(reason.DeploymentMismatch, "parameters: %w", err)
	}
	v.Deployment = policy.DeploymentView{
		ID: d.ID, Channel: in.Order.terms.Bundle.Channel, Profile: d.Spec.DeploymentProfile.Type,
		AllowDowngrade: in.Order.terms.AllowDowngrade, Parameters: parameters, Secrets: secretNames(in.Order.terms),
	}
	v.Device = deviceView(in.Device.ID, in.Device.Platform)
	return v, nil
}

func secretNames(o margo.Order) []string {
	var out []string
	for _, name := range o.Secrets {
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func deviceView(id string, p ocispec.Platform) policy.DeviceView {
	return policy.DeviceView{ID: id, Platform: policy.PlatformView{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}}
}

// view is what rules see of a release alone.
func (r *Release) view(found findings) policy.View {
	b := policy.BundleView{Application: r.bundle.Application, Version: r.bundle.Version, Digest: string(r.digest)}
	for _, c := range r.bundle.Components {
		b.Components = append(b.Components, c.Name)
	}
	for _, i := range r.bundle.Images {
		b.Images = append(b.Images, policy.ImageView{Reference: i.Reference, Digest: string(i.Manifest.Digest)})
	}
	return policy.View{Bundle: b, Evidence: policy.Seen(found.signatures, found.attestations)}
}

package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/verify"
	"github.com/consign-dev/consign/policy"
)

// OrderInput is an order for one device that nobody has signed.
type OrderInput struct {
	Device  string
	Release *verify.Release
	// Profile is the id of the package's profile that New is of.
	Profile string
	Source  Source
	// New is what would be signed, Old what stands in its place; nil for none.
	New, Old *margo.ApplicationDeployment
	// OldBundle describes the bundle of Old.
	OldBundle ocispec.Descriptor
	// Platform is rendered for; the zero value is the first that all images have.
	Platform ocispec.Platform
	// Endorsements lends the evidence that New lists.
	Endorsements verify.Documents
}

// Order is what signing an order would change on a device.
type Order struct {
	Device string `json:"device"`
	// Deployment is the id of the deployment that is replaced, "" for a first one,
	// whose id is made when it is signed.
	Deployment string `json:"deployment,omitempty"`
	// From is the version that was ordered last, "" for none.
	From       string        `json:"from,omitempty"`
	FromBundle digest.Digest `json:"fromBundle,omitempty"`
	To         string        `json:"to"`
	ToBundle   digest.Digest `json:"toBundle"`
	// Profile is the id of the package's profile, "" where none fits.
	Profile  string `json:"profile,omitempty"`
	Platform string `json:"platform"`

	Parameters []ParameterChange `json:"parameters"`
	Images     []ImageChange     `json:"images"`
	Objects    []Change          `json:"objects"`
	// Replaced are the containers that are stopped and made anew, as
	// component/service.
	Replaced   []string   `json:"replaced"`
	Privileges Privileges `json:"privileges"`
	Limits     Limits     `json:"limits"`
	// Data says what becomes of data when the update fails.
	Data   string    `json:"data,omitempty"`
	Policy Judgement `json:"policy"`
}

// ParameterChange is a parameter with another value than before.
type ParameterChange struct {
	Name string `json:"name"`
	// Secret: From and To are names of files on the device. The value itself is
	// nowhere but there.
	Secret bool `json:"secret,omitempty"`
	// How is set, changed or unset.
	How string `json:"how"`
	// From and To are values as JSON, "" where there is none, or where they were
	// taken out ([Order.HideValues]).
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// ImageChange is an image that a device will have or need no more.
type ImageChange struct {
	Reference string `json:"reference"`
	// Digest is what runs on the plan's platform.
	Digest digest.Digest `json:"digest"`
	How    string        `json:"how"`
}

// dataStays is what nobody may overlook who orders an update.
const dataStays = "when this update fails, the device goes back to the images and settings of before, but DATA DOES NOT GO BACK: what the new version wrote to volumes stays as it wrote it"

// dataReturns is for a policy with dataPolicy snapshot.
const dataReturns = "before this update, the device copies the data of its volumes; when the update fails, data goes back with the images, and what was written in between is lost"

// data says which of the two holds on the device.
func (in OrderInput) data() string {
	app, err := in.Release.Policy().Trust().Application(in.Release.Bundle().Application)
	if err == nil && app.DataPolicy == policy.Snapshot {
		return dataReturns
	}
	return dataStays
}

// OfOrder rehearses an order. What a device would refuse is no error here: it is
// in [Order.Policy].
func OfOrder(ctx context.Context, in OrderInput, r Renderer) (*Order, error) {
	out := newOrder(in.Device, in.Release)
	out.Profile = in.Profile
	if in.Platform.OS == "" {
		images, err := listImages(ctx, in.Release.Bundle(), in.Source)
		if err != nil {
			return nil, err
		}
		in.Platform = shownPlatform(images)
	}
	out.Platform = bundle.PlatformString(in.Platform)
	if err := out.since(in); err != nil {
		return nil, err
	}
	rehearsal, err := out.rehearse(ctx, in)
	if err != nil || rehearsal == nil {
		return out, err
	}
	return out, out.render(ctx, in, rehearsal, r)
}

// since says what stands now.
func (o *Order) since(in OrderInput) error {
	before, secretsBefore := map[string]string{}, map[string]string{}
	if old := in.Old; old != nil {
		terms, err := old.Order()
		if err != nil {
			return err
		}
		before, secretsBefore = valueTexts(old), terms.Secrets
		o.Data = in.data()
		o.Deployment, o.From, o.FromBundle = old.ID, terms.Bundle.Version, digest.Digest(terms.Bundle.Digest)
	}
	now, err := in.New.Order()
	if err != nil {
		return err
	}
	o.parameters(before, valueTexts(in.New), false)
	o.parameters(secretsBefore, now.Secrets, true)
	return nil
}

func (o *Order) parameters(before, after map[string]string, secret bool) {
	all := map[string]string{}
	maps.Copy(all, before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before[name] != after[name] {
			o.Parameters = append(o.Parameters, ParameterChange{Name: name, Secret: secret, How: how(before[name], after[name]), From: before[name], To: after[name]})
		}
	}
}

func how(before, after string) string {
	switch {
	case before == "":
		return "set"
	case after == "":
		return "unset"
	}
	return "changed"
}

// HideValues takes the values of parameters out of an order, for output that
// more people may read than the values. Names of secrets stay.
func (o *Order) HideValues() {
	for i := range o.Parameters {
		if p := &o.Parameters[i]; !p.Secret {
			p.From, p.To = "", ""
		}
	}
}

func valueTexts(d *margo.ApplicationDeployment) map[string]string {
	out := map[string]string{}
	for name, p := range d.Spec.Parameters {
		data, err := json.Marshal(p.Value)
		if err != nil {
			data = []byte(fmt.Sprint(p.Value))
		}
		out[name] = string(data)
	}
	return out
}

// rehearse judges the order; nil without an error is a refusal, which is noted.
func (o *Order) rehearse(ctx context.Context, in OrderInput) (*verify.Rehearsal, error) {
	rehearsal, err := verify.Rehearse(ctx, verify.RehearseInput{
		Deployment: in.New.Raw, Release: in.Release, Device: verify.Device{ID: in.Device, Platform: in.Platform},
		History: verify.History{Highest: o.From, Previous: in.Old}, Endorsements: in.Endorsements,
	}, in.Source)
	if err != nil {
		return nil, o.Policy.take(nil, err)
	}
	o.Policy.unknown([]string{"the device's platform: this plan is for " + o.Platform})
	o.Policy.unknown(rehearsal.Unknown())
	return rehearsal, nil
}

func (o *Order) render(ctx context.Context, in OrderInput, rehearsal *verify.Rehearsal, r Renderer) error {
	renders, err := r.Render(ctx, rehearsal, in.Source.Archive(ctx))
	if err != nil {
		return err
	}
	steps, err := rehearsal.CheckRenders(renders)
	if err := o.Policy.take(steps, err); err != nil {
		return err
	}
	o.Limits = limits(rehearsal, renders)
	if o.Privileges, err = privileges(rehearsal.Grants(), renders); err != nil {
		return err
	}
	before, was, err := in.before(ctx, rehearsal, r)
	if err != nil {
		return fmt.Errorf("what was ordered last (%s %s): %w", o.From, o.FromBundle, err)
	}
	c, err := compare(before, renders)
	if err != nil {
		return err
	}
	o.Objects, o.Replaced = append(o.Objects, c.changes...), append(o.Replaced, c.replaced...)
	o.Images = append(o.Images, compareImages(was, rehearsal.Images())...)
	return nil
}

// before renders what stands now, to compare with. It is not judged again:
// whether it may still run is for another day.
func (in OrderInput) before(ctx context.Context, now *verify.Rehearsal, r Renderer) ([]verify.Render, []verify.Image, error) {
	if in.Old == nil {
		return nil, nil, nil
	}
	terms, err := in.Old.Order()
	if err != nil {
		return nil, nil, err
	}
	was, err := verify.RehearseUnlisted(ctx, verify.UnlistedInput{
		Bundle: in.OldBundle, Deployment: in.Old.Raw, Grants: withSecrets(now.Grants(), terms.Secrets),
		Device: verify.Device{ID: in.Device, Platform: in.Platform},
	}, in.Source)
	if err != nil {
		return nil, nil, err
	}
	renders, err := r.Render(ctx, was, in.Source.Archive(ctx))
	return renders, was.Images(), err
}

func compareImages(old, now []verify.Image) []ImageChange {
	var out []ImageChange
	only := func(list, others []verify.Image, how string) {
		for _, i := range list {
			same := func(o verify.Image) bool { return o.Reference == i.Reference && o.Manifest.Digest == i.Manifest.Digest }
			if !slices.ContainsFunc(others, same) {
				out = append(out, ImageChange{i.Reference, i.Manifest.Digest, how})
			}
		}
	}
	only(old, now, Removed)
	only(now, old, Added)
	return out
}

// Refused is the plan of an order that cannot even be written, such as one with
// a value that the package does not allow.
func Refused(device string, release *verify.Release, err error) *Order {
	o := newOrder(device, release)
	o.Policy.refuse(err)
	return o
}

func newOrder(device string, release *verify.Release) *Order {
	return &Order{
		Device: device, To: release.Bundle().Version, ToBundle: release.Digest(),
		Parameters: []ParameterChange{}, Images: []ImageChange{}, Objects: []Change{}, Replaced: []string{},
		Privileges: Privileges{Never: []string{}}, Limits: Limits{Defaulted: []string{}},
		Policy: Judgement{Accepted: true, Steps: []verify.Step{}, Unknown: []string{}},
	}
}

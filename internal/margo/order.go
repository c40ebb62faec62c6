package margo

import (
	"encoding/json"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Order is what a deployment says to Consign, under [ExtensionKey] in its
// profile. Margo obliges every other reader to ignore and to keep it.
type Order struct {
	Bundle BundleRef `json:"bundle"`
	// AllowDowngrade lets the device go below the highest version it has run;
	// never below the policy's minimum.
	AllowDowngrade bool     `json:"allowDowngrade,omitempty"`
	OnRemove       OnRemove `json:"onRemove,omitzero"`
	// Secrets names, per parameter that the package marks as secret, a file on the
	// device that holds the value.
	Secrets map[string]string `json:"secrets,omitempty"`
	// SecretParameters is the package's own mark, repeated: the extension is one
	// mapping, and Margo has what the package wrote in it carried along.
	SecretParameters []string `json:"secretParameters,omitempty"`
	// Endorsements is evidence about the bundle that others than its supplier made,
	// such as an integrator or the site. It lies in the deployment channel's
	// repository; order is of no account.
	Endorsements []EvidenceRef `json:"endorsements,omitempty"`
}

// EvidenceRef names an evidence manifest.
type EvidenceRef struct {
	Digest string `json:"digest"` // sha256:<64 hex>
	Size   int64  `json:"size"`   // of the manifest, in bytes
}

// Bounds of the endorsements of one order.
const (
	MaxEndorsements = 32
	maxEvidenceSize = 4 << 20 // what registries must accept as a manifest (OCI Distribution Spec 1.1)
)

// BundleRef names a released bundle.
type BundleRef struct {
	Channel string `json:"channel"` // the policy's name of the release channel
	Version string `json:"version"` // the package's metadata.version
	Digest  string `json:"digest"`  // sha256:<64 hex> of the bundle index
}

// OnRemove says what happens when the deployment goes.
type OnRemove struct {
	Volumes string `json:"volumes,omitempty"` // "keep", also when empty, or "delete"
}

var sha256Digest = lazyregexp.New(`^sha256:[0-9a-f]{64}$`)

// Order reads the deployment's order. A deployment without one was not made
// for Consign and is refused, as is an unknown field: reason malformed.
func (d *ApplicationDeployment) Order() (Order, error) {
	const at = "deployment: spec.deploymentProfile." + ExtensionKey
	content, ok := d.Spec.DeploymentProfile.Extensions[ExtensionKey]
	if !ok {
		return Order{}, reason.New(reason.Malformed, "%s is missing: it names the bundle to run, 'publisher deploy' writes it", at)
	}
	data, err := json.Marshal(content)
	if err != nil {
		return Order{}, reason.New(reason.Malformed, "%s: %w", at, err)
	}
	var o Order
	if err := strictjson.Unmarshal(data, &o, strictjson.Limits{}); err != nil {
		return Order{}, named(at, err)
	}
	var p problems
	o.validate(&p)
	return o, p.err(reason.Malformed, at)
}

func (o Order) validate(p *problems) {
	if o.Bundle.Channel == "" {
		p.add("bundle.channel is missing")
	}
	if !ociTag.MatchString(o.Bundle.Version) {
		p.add("bundle.version: %.140q is not a version", o.Bundle.Version)
	}
	if !sha256Digest.MatchString(o.Bundle.Digest) {
		p.add("bundle.digest: %.80q is not sha256: and 64 lower-case hexadecimal digits", o.Bundle.Digest)
	}
	if v := o.OnRemove.Volumes; v != "" && v != "keep" && v != "delete" {
		p.add("onRemove.volumes: %.40q is neither keep nor delete", v)
	}
	o.validateEndorsements(p)
	o.validateSecrets(p)
}

func (o Order) validateEndorsements(p *problems) {
	if n := len(o.Endorsements); n > MaxEndorsements {
		p.add("endorsements: %d, at most %d", n, MaxEndorsements)
		return
	}
	first := map[string]int{}
	for n, e := range o.Endorsements {
		if !sha256Digest.MatchString(e.Digest) {
			p.add("endorsements[%d].digest: %.80q is not sha256: and 64 lower-case hexadecimal digits", n, e.Digest)
		}
		if e.Size < 1 || e.Size > maxEvidenceSize {
			p.add("endorsements[%d].size: %d is not between 1 and %d", n, e.Size, maxEvidenceSize)
		}
		if m, dup := first[e.Digest]; dup {
			p.add("endorsements[%d].digest: the same as endorsements[%d]", n, m)
		}
		first[e.Digest] = n
	}
}

// extension is the order as the content of an extension.
func (o Order) extension() (map[string]any, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var content map[string]any
	return content, json.Unmarshal(data, &content)
}

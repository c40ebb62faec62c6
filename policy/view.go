package policy

import (
	"reflect"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/consign-dev/consign/internal/reason"
)

// View is what a [Rule] sees: four variables, all of them facts that were
// verified before. docs/spec/policy.md describes it field by field.
type View struct {
	Bundle     BundleView
	Evidence   EvidenceView
	Deployment DeploymentView
	Device     DeviceView
}

// BundleView is the variable "bundle".
type BundleView struct {
	Application string `cel:"application"`
	Version     string `cel:"version"`
	// Digest of the bundle, and of each image, is sha256:<64 hex>.
	Digest string `cel:"digest"`
	// Components are the names of all components.
	Components []string    `cel:"components"`
	Images     []ImageView `cel:"images"`
}

// ImageView is a container image of the bundle.
type ImageView struct {
	// Reference is what components call it, in normal form.
	Reference string `cel:"reference"`
	Digest    string `cel:"digest"`
}

// EvidenceView is the variable "evidence": who and what met the rules, by role and
// by name of attestation. What met none is not there.
type EvidenceView struct {
	Signatures   map[string][]SignerView      `cel:"signatures"`
	Attestations map[string][]AttestationView `cel:"attestations"`
}

// SignerView is a [Signer]. What it has none of is "".
type SignerView struct {
	KeyID       string            `cel:"keyId"`
	TrustedRoot string            `cel:"trustedRoot"`
	Issuer      string            `cel:"issuer"`
	Subject     string            `cel:"subject"`
	Claims      map[string]string `cel:"claims"` // by their names in [Claims], those that were made
}

// AttestationView is an [Attestation].
type AttestationView struct {
	PredicateType string       `cel:"predicateType"`
	Signers       []SignerView `cel:"signers"`
	// Subjects are SHA-256 digests in hex.
	Subjects []string `cel:"subjects"`
	// Predicate is whatever was said; numbers are doubles.
	Predicate *structpb.Struct `cel:"predicate"`

	raw []byte
}

// DeploymentView is the variable "deployment": the order.
type DeploymentView struct {
	ID      string `cel:"id"`
	Channel string `cel:"channel"`
	// Profile is the type of the deployment profile, such as compose.
	Profile        string `cel:"profile"`
	AllowDowngrade bool   `cel:"allowDowngrade"`
	// Parameters are the values by name; numbers are doubles.
	Parameters *structpb.Struct `cel:"parameters"`
	// Secrets are the names of the device's secrets that the application gets.
	Secrets []string `cel:"secrets"`
}

// DeviceView is the variable "device".
type DeviceView struct {
	ID       string       `cel:"id"`
	Platform PlatformView `cel:"platform"`
}

// PlatformView is an OCI platform.
type PlatformView struct {
	OS           string `cel:"os"`
	Architecture string `cel:"architecture"`
	Variant      string `cel:"variant"`
}

// viewTypes are those that expressions know.
var viewTypes = []any{
	reflect.TypeFor[BundleView](), reflect.TypeFor[ImageView](), reflect.TypeFor[EvidenceView](), reflect.TypeFor[SignerView](),
	reflect.TypeFor[AttestationView](), reflect.TypeFor[DeploymentView](), reflect.TypeFor[DeviceView](), reflect.TypeFor[PlatformView](),
}

// Seen is what a rule sees of evidence.
func Seen(signatures map[string][]Signer, attestations map[string][]Attestation) EvidenceView {
	out := EvidenceView{Signatures: map[string][]SignerView{}, Attestations: map[string][]AttestationView{}}
	for role, list := range signatures {
		out.Signatures[role] = seenSigners(list)
	}
	for name, list := range attestations {
		for _, a := range list {
			seen := AttestationView{PredicateType: a.PredicateType, Signers: seenSigners(a.Signers), Subjects: a.Subjects, raw: a.Predicate}
			out.Attestations[name] = append(out.Attestations[name], seen)
		}
	}
	return out
}

func seenSigners(list []Signer) []SignerView {
	var out []SignerView
	for _, s := range list {
		seen := SignerView{KeyID: s.KeyID, TrustedRoot: s.TrustedRoot, Issuer: s.Issuer, Subject: s.Subject, Claims: map[string]string{}}
		for _, c := range s.Claims.list() {
			if c.value != "" {
				seen.Claims[c.name] = c.value
			}
		}
		out = append(out, seen)
	}
	return out
}

// variables are the view as an expression sees it. Predicates are read only where
// a rule may look at them: that of an SBOM is long.
func (v View) variables(predicates bool) (map[string]any, error) {
	if predicates {
		for name, list := range v.Evidence.Attestations {
			for n := range list {
				list[n].Predicate = &structpb.Struct{}
				if err := list[n].Predicate.UnmarshalJSON(list[n].raw); err != nil {
					return nil, reason.New(reason.Malformed, "attestation %s: predicate: %w", name, err)
				}
			}
		}
	}
	return map[string]any{"bundle": v.Bundle, "evidence": v.Evidence, "deployment": v.Deployment, "device": v.Device}, nil
}

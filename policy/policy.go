// Package policy holds what an operator allows on a device: the TrustPolicy.
//
// A TrustPolicy is a YAML document that the operator signs offline; it reaches
// a device as the target "policy" of the deployment channel, and nothing else
// can change it. It names the release channels of suppliers and, for each
// application, who must have signed it and what it may do. Whatever it does
// not name is denied. docs/spec/policy.md describes it field by field.
//
//	apiVersion: consign.dev/v1alpha1
//	kind: TrustPolicy
//	channels:
//	  acme:
//	    repository: registry.example.com/acme/releases
//	    root: acme-root.json
//	applications:
//	  - id: com-example-line-monitor
//	    channel: acme
//	    signatures:
//	      - role: supplier
//	        threshold: 1
//	        keys:
//	          - |
//	            -----BEGIN PUBLIC KEY-----
//	            ...
//	            -----END PUBLIC KEY-----
//	    minimumVersion: 1.2.0
//	    mayRemove: true
//
// The package is pure: bytes and values in, a decision out. A document is
// judged whole when it is parsed, so a mistake shows when the operator signs a
// policy and not when a device needs it.
package policy

import (
	"cmp"
	"fmt"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// The two fields that say which document this is.
const (
	APIVersion = "consign.dev/v1alpha1"
	Kind       = "TrustPolicy"
)

// TrustPolicy is the whole document. Use [Parse] to get one that is valid.
type TrustPolicy struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	// Channels are the suppliers' release channels by the name that
	// applications, deployments and the device log call them.
	Channels map[string]ReleaseChannel `yaml:"channels"`
	// TrustedRoots are the Sigstore instances whose certificates count, by the name
	// that identities call them.
	TrustedRoots map[string]TrustedRoot `yaml:"trustedRoots"`
	// ReservedPorts are published ports, such as 502/tcp or 8000-8100/udp, that
	// the device's other programs use: an application has them by grant only.
	ReservedPorts []string `yaml:"reservedPorts"`
	// Applications are the only ones that may run.
	Applications []Application `yaml:"applications"`
}

// ReleaseChannel is where a supplier lists its releases.
type ReleaseChannel struct {
	// Repository is host/path of an OCI repository, without scheme, tag or digest.
	Repository string `yaml:"repository"`
	// Root is the title of the file in the policy artifact that holds the
	// channel's TUF root metadata.
	Root string `yaml:"root"`
}

// Application is what is allowed for one application id.
type Application struct {
	// ID is the Margo application id; it is compared exactly.
	ID string `yaml:"id"`
	// Channel is a name in [TrustPolicy.Channels]. Only that channel can release
	// the application.
	Channel string `yaml:"channel"`
	// Signatures must all be satisfied; there is at least one.
	Signatures []SignatureRule `yaml:"signatures"`
	// Attestations must all be satisfied, too.
	Attestations []AttestationRule `yaml:"attestations"`
	// Rules must all hold, too.
	Rules []Rule `yaml:"rules"`
	// MinimumVersion is the SemVer version below which nothing is installed,
	// whatever an order says. Empty means no floor.
	MinimumVersion string `yaml:"minimumVersion"`
	// MayRemove lets the everyday deploy role take the application away.
	MayRemove bool `yaml:"mayRemove"`
	// MayDeleteVolumes lets a removal delete the application's data, too.
	MayDeleteVolumes bool `yaml:"mayDeleteVolumes"`
	// OnNoGood is what to do with an application when neither what is ordered nor
	// what ran before may run or works: [Keep] what is there, or [Stop] it; data
	// stays. Parse turns an absent value into [Keep].
	OnNoGood string `yaml:"onNoGood"`
	// Drift is what to do when what runs is not what was applied any more:
	// [Correct] it, or only [Report] it. Parse turns an absent value into [Correct].
	Drift string `yaml:"drift"`
	// DataPolicy says whether the data of the application's volumes goes back with
	// its images: [Keep] it as a failed update left it, or take a [Snapshot] before
	// each update and restore it. Parse turns an absent value into [Keep].
	DataPolicy string `yaml:"dataPolicy"`
	// Grants is what the application may ask of the machine beyond the default.
	Grants Grants `yaml:"grants"`
}

// The values of [Application.OnNoGood].
const (
	Keep = "keep"
	Stop = "stop"
)

// The values of [Application.Drift].
const (
	Correct = "correct"
	Report  = "report"
)

// Snapshot is the value of [Application.DataPolicy] beside [Keep].
const Snapshot = "snapshot"

// Parse reads and validates a TrustPolicy. An error has reason malformed or
// too-large and names the field.
func Parse(data []byte) (*TrustPolicy, error) {
	var p TrustPolicy
	root, err := strictyaml.Node(data, strictyaml.Default)
	if err == nil {
		err = strictyaml.Decode(root, &p)
	}
	if err != nil {
		return nil, reason.Wrap(reason.Malformed, fmt.Errorf("trust policy: %w", err))
	}
	if err := p.validate(); err != nil {
		return nil, reason.Wrap(reason.Malformed, fmt.Errorf("trust policy: %w", err))
	}
	if err := checkWritten(root); err != nil {
		return nil, reason.Wrap(reason.Malformed, fmt.Errorf("trust policy: %w", err))
	}
	for i := range p.Applications {
		a := &p.Applications[i]
		a.OnNoGood, a.Drift = cmp.Or(a.OnNoGood, Keep), cmp.Or(a.Drift, Correct)
		a.DataPolicy = cmp.Or(a.DataPolicy, Keep)
		for j := range a.Signatures {
			a.Signatures[j].ListedIn = cmp.Or(a.Signatures[j].ListedIn, InRelease)
		}
		for j := range a.Attestations {
			a.Attestations[j].About = cmp.Or(a.Attestations[j].About, AboutBundle)
			a.Attestations[j].ListedIn = cmp.Or(a.Attestations[j].ListedIn, InRelease)
		}
		for _, s := range p.ReservedPorts {
			ports, _ := parsePorts(s)
			a.Grants.ports = append(a.Grants.ports, ports)
		}
	}
	return &p, nil
}

// NeedsEndorsements reports whether a rule counts evidence that the operator
// lists.
func (a *Application) NeedsEndorsements() bool {
	signatures, attestations := a.ListedIn(InDeployment)
	return len(signatures)+len(attestations) > 0
}

// ListedIn are the rules that count the evidence of one list, [InRelease] or
// [InDeployment].
func (a *Application) ListedIn(list string) (signatures []SignatureRule, attestations []AttestationRule) {
	for _, r := range a.Signatures {
		if r.ListedIn == list {
			signatures = append(signatures, r)
		}
	}
	for _, r := range a.Attestations {
		if r.ListedIn == list {
			attestations = append(attestations, r)
		}
	}
	return signatures, attestations
}

// Application returns the rules for an application id. An application that the
// policy does not name is refused with reason rule.
func (p *TrustPolicy) Application(id string) (*Application, error) {
	for i := range p.Applications {
		if p.Applications[i].ID == id {
			return &p.Applications[i], nil
		}
	}
	return nil, reason.New(reason.Rule, "the trust policy does not allow application %q: it has no entry for it", id)
}

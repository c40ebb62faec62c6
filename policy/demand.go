package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Demand is the rule in words, for people: whose signatures, and how many.
func (r SignatureRule) Demand() string {
	return fmt.Sprintf("role %s: signed by %s", r.Role, r.whom())
}

// Demand is the rule in words, for people.
func (r AttestationRule) Demand() string {
	words := fmt.Sprintf("attestation %s: %s about the %s, by %s", r.Name, r.PredicateType, r.About, r.Signers().whom())
	if r.Provenance != nil {
		words += r.Provenance.demand()
	}
	if r.SBOM != nil {
		words += r.SBOM.demand()
	}
	return words
}

// whom lists the accepted, the first few.
func (r SignatureRule) whom() string {
	const most = 4
	var names []string
	if ids, err := r.keyIDs(); err == nil {
		for id, n := range ids {
			names = append(names, fmt.Sprintf("%03d key %q", n, id))
		}
	}
	slices.Sort(names)
	for n := range names {
		names[n] = names[n][4:]
	}
	for _, i := range r.Identities {
		names = append(names, fmt.Sprintf("%s of issuer %q%s", i.Subject, i.Issuer, i.Claims.demand()))
	}
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%d of: %s", r.Threshold, strings.Join(names, ", "))
}

func (c Claims) demand() string {
	var words []string
	for _, each := range c.list() {
		if each.value != "" {
			words = append(words, each.name+" "+each.value)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return " with " + strings.Join(words, ", ")
}

func (r *ProvenanceRule) demand() string {
	var words string
	for _, f := range []struct{ name, text string }{
		{"builder", r.Builder}, {"buildType", r.BuildType}, {"source", r.Source.URI}, {"ref", r.Source.Ref}, {"materials", r.Materials},
	} {
		if f.text != "" {
			words += fmt.Sprintf("; %s %s", f.name, f.text)
		}
	}
	return words
}

func (r *SBOMRule) demand() string {
	var words string
	for _, f := range []struct {
		name string
		list []string
	}{{"package", r.Deny.Packages}, {"license", r.Deny.Licenses}} {
		if len(f.list) > 0 {
			words += fmt.Sprintf("; without %d denied %s(s)", len(f.list), f.name)
		}
	}
	if r.Covers != "" {
		words += "; covers " + r.Covers
	}
	return words
}

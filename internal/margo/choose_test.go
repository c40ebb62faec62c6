package margo_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

// profiles is a package with profiles written as "id" of the type that the id
// begins with.
func profiles(t *testing.T, ids ...string) *margo.ApplicationDescription {
	t.Helper()
	var text strings.Builder
	text.WriteString("apiVersion: v1\nid: a\nmetadata: {name: a, version: 1.0.0, catalog: {organization: [{name: a}]}}\ndeploymentProfiles:\n")
	for _, id := range ids {
		profileType, _, _ := strings.Cut(id, "-")
		text.WriteString("  - {type: " + profileType + ", id: " + id + ", components: [{name: " + profileType + ", properties: {repository: 'oci://h/p', revision: 1.0.0}}]")
		if profileType == margo.TypeCustom {
			text.WriteString(", deviceConstraints: {eligibilityRules: [{labelSelector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}]}")
		}
		text.WriteString("}\n")
	}
	return parseDescription(t, text.String())
}

func TestTheProfileThatFitsTheDeviceIsChosen(t *testing.T) {
	type choice = margo.ProfileChoice
	compose, helm, both := []string{"compose"}, []string{"helm"}, []string{"compose", "helm"}
	for name, c := range map[string]struct {
		ids  string
		in   choice
		want string // an id, or what a refusal says
	}{
		"the only one":                  {"helm-a", choice{}, "helm-a"},
		"the only one, of another type": {"helm-a", choice{Applied: compose}, `the package has no profile for a device that applies compose: it has "helm-a" (helm)`},
		"for Docker":                    {"compose-a helm-a", choice{Applied: compose}, "compose-a"},
		"for Kubernetes":                {"compose-a helm-a", choice{Applied: helm}, "helm-a"},
		"not recorded":                  {"compose-a helm-a", choice{}, `several profiles of the package fit the device, "compose-a" (compose), "helm-a" (helm): give one with --profile, or record`},
		"both recorded":                 {"compose-a helm-a", choice{Applied: both}, "give one with --profile"},
		"two of the type":               {"compose-a helm-a compose-b", choice{Applied: compose}, `"compose-a" (compose), "compose-b" (compose): give one with --profile`},
		"named":                         {"compose-a helm-a compose-b", choice{ID: "compose-b", Applied: both, Previous: "helm"}, "compose-b"},
		"named, not recorded":           {"compose-a helm-a", choice{ID: "helm-a"}, "helm-a"},
		"named, of another type":        {"compose-a helm-a", choice{ID: "helm-a", Applied: compose}, `profile "helm-a" (helm): the device applies compose only`},
		"named, not there":              {"compose-a helm-a", choice{ID: "helm", Applied: helm}, `no profile "helm": it has "compose-a" (compose), "helm-a" (helm)`},
		"as before":                     {"compose-a helm-a", choice{Previous: "helm"}, "helm-a"},
		"as before, both recorded":      {"compose-a helm-a", choice{Applied: both, Previous: "compose"}, "compose-a"},
		"the device decides":            {"compose-a helm-a", choice{Applied: helm, Previous: "compose"}, "helm-a"},
		"not as before":                 {"compose-a", choice{Previous: "helm"}, "compose-a"},
		"not before, several":           {"compose-a compose-b", choice{Previous: "helm"}, "give one with --profile"},
		"as before, several":            {"compose-a compose-b helm-a", choice{Previous: "compose"}, `fit the device, "compose-a" (compose), "compose-b" (compose): give`},
		"as before, which it never had": {"compose-a compose-b helm-a", choice{Applied: compose, Previous: "helm"}, "give one with --profile"},
		"custom beside":                 {"custom-a compose-a", choice{}, "compose-a"},
		"custom alone":                  {"custom-a", choice{}, `no profile for a device that applies compose and helm: it has "custom-a" (custom)`},
		"custom named":                  {"custom-a compose-a", choice{ID: "custom-a"}, `profile "custom-a" (custom): the device applies compose and helm only`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := profiles(t, strings.Fields(c.ids)...).ChooseProfile(c.in)
			if err == nil && got.ID != c.want || err != nil && (!reason.Is(err, reason.DeploymentMismatch) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%+v, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestARefusalOfManyProfilesIsShort(t *testing.T) {
	_, err := profiles(t, "compose-1", "compose-2", "compose-3", "compose-4", "compose-5", "compose-6", "compose-7", "compose-8", "compose-9", "compose-10").ChooseProfile(margo.ProfileChoice{})
	mustRefuse(t, err, reason.DeploymentMismatch, `"compose-8" (compose), and 2 more: give one`)
}

func TestAppliedTypesAreAClosedList(t *testing.T) {
	for _, good := range [][]string{nil, {"helm"}, {"compose"}, {"helm", "compose"}} {
		if err := margo.CheckAppliedTypes(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range [][]string{{""}, {"custom"}, {"helm.v3"}, {"Helm"}, {"helm", "helm"}, {"helm", "compose", "x"}} {
		if margo.CheckAppliedTypes(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

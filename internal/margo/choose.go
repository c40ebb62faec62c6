package margo

import (
	"fmt"
	"slices"
	"strings"
)

// AppliedTypes are the types of profiles that devices have appliers for. No
// device of this project applies a custom profile.
var AppliedTypes = []string{TypeCompose, TypeHelm}

// CheckAppliedTypes reports why types cannot be what a device applies: each is
// one of [AppliedTypes], and none is there twice. The error is a phrase.
func CheckAppliedTypes(types []string) error {
	for i, t := range types {
		if !slices.Contains(AppliedTypes, t) {
			return fmt.Errorf("%.40q is none of %s", t, strings.Join(AppliedTypes, ", "))
		}
		if slices.Contains(types[:i], t) {
			return fmt.Errorf("%s is there twice", t)
		}
	}
	return nil
}

// ProfileChoice is what is known about a device when one of a package's profiles
// is chosen for it.
type ProfileChoice struct {
	// ID is the profile that the operator named; "" for none.
	ID string
	// Applied are the types that the device is enrolled for; nil where that is not
	// recorded.
	Applied []string
	// Previous is the type of the profile that the device has of the application;
	// "" for none.
	Previous string
}

// ChooseProfile returns the one profile that fits: the named one, else the only
// one of a type that the device applies, else the only one of those that has the
// type of before. None, several, and a named one of a type that the device does
// not apply are refused with reason deployment-mismatch.
func (d *ApplicationDescription) ChooseProfile(c ProfileChoice) (*DeploymentProfile, error) {
	applied := c.Applied
	if applied == nil {
		applied = AppliedTypes
	}
	if c.ID != "" {
		return d.namedProfile(c.ID, applied)
	}
	fit := d.profilesOf(applied)
	if same := d.profilesOf([]string{c.Previous}); len(fit) > 1 && len(same) > 0 && slices.Contains(applied, c.Previous) {
		fit = same
	}
	switch len(fit) {
	case 1:
		return fit[0], nil
	case 0:
		return nil, mismatch("the package has no profile for a device that applies %s: it has %s; if the device applies one of these types, record it with 'publisher device add --profile-type'",
			strings.Join(applied, " and "), listProfiles(d.profilesOf(nil)))
	}
	advice := "give one with --profile"
	if c.Applied == nil {
		advice += ", or record what the device applies with 'publisher device add --profile-type'"
	}
	return nil, mismatch("several profiles of the package fit the device, %s: %s", listProfiles(fit), advice)
}

func (d *ApplicationDescription) namedProfile(id string, applied []string) (*DeploymentProfile, error) {
	p, err := d.profile(id)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(applied, p.Type) {
		return nil, mismatch("profile %s: the device applies %s only; if it has an applier for this type, record it with 'publisher device add --profile-type'",
			listProfiles([]*DeploymentProfile{p}), strings.Join(applied, " and "))
	}
	return p, nil
}

func (d *ApplicationDescription) profile(id string) (*DeploymentProfile, error) {
	for i := range d.DeploymentProfiles {
		if d.DeploymentProfiles[i].ID == id {
			return &d.DeploymentProfiles[i], nil
		}
	}
	return nil, mismatch("the package has no profile %.80q: it has %s", id, listProfiles(d.profilesOf(nil)))
}

// profilesOf are the profiles of some types; nil is all.
func (d *ApplicationDescription) profilesOf(types []string) []*DeploymentProfile {
	var out []*DeploymentProfile
	for i := range d.DeploymentProfiles {
		if p := &d.DeploymentProfiles[i]; types == nil || slices.Contains(types, p.Type) {
			out = append(out, p)
		}
	}
	return out
}

// listProfiles names some of them, since a package may have thousands.
func listProfiles(profiles []*DeploymentProfile) string {
	var names []string
	for i, p := range profiles {
		if i == maxProblems {
			names = append(names, fmt.Sprintf("and %d more", len(profiles)-i))
			break
		}
		names = append(names, fmt.Sprintf("%.80q (%s)", p.ID, p.Type))
	}
	return strings.Join(names, ", ")
}

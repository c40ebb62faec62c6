package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/margo"
)

var (
	// Margo 1.0.0-rc.3, Application Description, id.
	applicationID = lazyregexp.New(`^[a-z0-9-]{1,200}$`)
	// channel and role names appear in logs and on command lines.
	shortName = lazyregexp.New(`^[a-z0-9-]{1,64}$`)
	// fileTitle is a plain file name: no separator, no leading dot.
	fileTitle = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	// A registry host, as a name or an IPv4 address, with an optional port.
	registryHost = lazyregexp.New(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?$`)
	// OCI Distribution Spec 1.1, Pulling manifests, <name>.
	repositoryPath = lazyregexp.New(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// maxRepository is what registries commonly allow for host and path together.
const maxRepository = 255

func (p *TrustPolicy) validate() error {
	if p.APIVersion != APIVersion || p.Kind != Kind {
		return fmt.Errorf("apiVersion %q, kind %q: this version reads apiVersion %q, kind %q", p.APIVersion, p.Kind, APIVersion, Kind)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Channels)) {
		if !shortName.MatchString(name) {
			return fmt.Errorf("channels: name %q is not 1 to 64 of a-z, 0-9 and -", name)
		}
		if err := p.Channels[name].validate(); err != nil {
			return fmt.Errorf("channels.%s.%w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.TrustedRoots)) {
		if !shortName.MatchString(name) {
			return fmt.Errorf("trustedRoots: name %q is not 1 to 64 of a-z, 0-9 and -", name)
		}
		if file := p.TrustedRoots[name].File; !fileTitle.MatchString(file) {
			return fmt.Errorf("trustedRoots.%s.file: %.200q is not the name of a file in the policy artifact, such as trusted_root.json", name, file)
		}
		if err := p.TrustedRoots[name].Witnesses.validate(); err != nil {
			return fmt.Errorf("trustedRoots.%s.witnesses.%w", name, err)
		}
	}
	if len(p.ReservedPorts) > maxGrants {
		return fmt.Errorf("reservedPorts: %d entries, at most %d", len(p.ReservedPorts), maxGrants)
	}
	for i, s := range p.ReservedPorts {
		if _, ok := parsePorts(s); !ok {
			return fmt.Errorf("reservedPorts[%d]: %.40q is not a port or range with its protocol, such as 502/tcp or 8000-8100/udp", i, s)
		}
	}
	first := map[string]int{}
	for i := range p.Applications {
		a := &p.Applications[i]
		if err := a.validate(p); err != nil {
			return fmt.Errorf("applications[%d].%w", i, err)
		}
		// Two entries would make the order of the list decide what is allowed.
		if j, dup := first[a.ID]; dup {
			return fmt.Errorf("applications[%d].id: %q already has an entry, applications[%d]", i, a.ID, j)
		}
		first[a.ID] = i
	}
	return nil
}

func (c ReleaseChannel) validate() error {
	host, path, _ := strings.Cut(c.Repository, "/")
	// A first part without dot or port would be a path of some default registry
	// for other tools; here the host is always written out.
	named := strings.ContainsAny(host, ".:") || host == "localhost"
	if !named || len(c.Repository) > maxRepository || !registryHost.MatchString(host) || !repositoryPath.MatchString(path) {
		return fmt.Errorf("repository: %.300q is not host/path of a repository, such as registry.example.com/acme/releases (no scheme, tag or digest)", c.Repository)
	}
	if !fileTitle.MatchString(c.Root) {
		return fmt.Errorf("root: %.200q is not the name of a file in the policy artifact, such as acme-root.json", c.Root)
	}
	return nil
}

func (a *Application) validate(p *TrustPolicy) error {
	if !applicationID.MatchString(a.ID) {
		return fmt.Errorf("id: %.300q is not a Margo application id (1 to 200 of a-z, 0-9 and -); patterns are not allowed", a.ID)
	}
	if _, ok := p.Channels[a.Channel]; !ok {
		return fmt.Errorf("channel: %.100q is not declared under channels", a.Channel)
	}
	if err := a.validateSignatures(p.TrustedRoots); err != nil {
		return err
	}
	if err := a.validateAttestations(p.TrustedRoots); err != nil {
		return err
	}
	if err := a.compileRules(); err != nil {
		return err
	}
	if a.MinimumVersion != "" {
		if _, err := margo.CompareVersions(a.MinimumVersion, a.MinimumVersion); err != nil {
			return fmt.Errorf("minimumVersion: %w", err)
		}
	}
	if a.MayDeleteVolumes && !a.MayRemove {
		return errors.New("mayDeleteVolumes: volumes are deleted only when the application is removed, and mayRemove is false")
	}
	if !slices.Contains([]string{"", Keep, Stop}, a.OnNoGood) {
		return fmt.Errorf("onNoGood: %.100q is neither %q nor %q", a.OnNoGood, Keep, Stop)
	}
	if !slices.Contains([]string{"", Correct, Report}, a.Drift) {
		return fmt.Errorf("drift: %.100q is neither %q nor %q", a.Drift, Correct, Report)
	}
	if !slices.Contains([]string{"", Keep, Snapshot}, a.DataPolicy) {
		return fmt.Errorf("dataPolicy: %.100q is neither %q nor %q", a.DataPolicy, Keep, Snapshot)
	}
	return a.Grants.validate()
}

func (a *Application) validateSignatures(roots map[string]TrustedRoot) error {
	if len(a.Signatures) == 0 {
		return errors.New("signatures: at least one rule is needed; there are no unsigned applications")
	}
	roles, supplied := map[string]bool{}, false
	for i, r := range a.Signatures {
		supplied = supplied || r.ListedIn != InDeployment
		if err := r.validate(roots); err != nil {
			return fmt.Errorf("signatures[%d].%w", i, err)
		}
		if roles[r.Role] {
			return fmt.Errorf("signatures[%d].role: %q is used twice", i, r.Role)
		}
		roles[r.Role] = true
	}
	if !supplied {
		return errors.New("signatures: all are listedIn deployment; one at least must be of the release, since what its supplier did not sign is not released")
	}
	return nil
}

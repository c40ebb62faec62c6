package margo

import (
	"path"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// emailAddress is the specification's pattern (LinkML Author.email).
var emailAddress = lazyregexp.New(`.*@[a-z0-9.-]*`)

func (m *Metadata) validate(p *problems) {
	if m.Name == "" {
		p.add("metadata.name is missing")
	}
	if !ociTag.MatchString(m.Version) {
		p.add("metadata.version: %.140q cannot be an OCI tag (letters, digits, dot, dash and underscore, at most 128), and the package's tag must equal it", m.Version)
	}
	if len(m.Catalog.Organization) == 0 {
		p.add("metadata.catalog.organization is missing or empty")
	}
	for i, o := range m.Catalog.Organization {
		if o.Name == "" {
			p.add("%s.name is missing", fmtIndex("metadata.catalog.organization", i))
		}
	}
	for i, a := range m.Catalog.Author {
		if a.Email != "" && !emailAddress.MatchString(a.Email) {
			p.add("%s.email: %.80q is not an e-mail address", fmtIndex("metadata.catalog.author", i), a.Email)
		}
	}
	if m.Catalog.Application != nil {
		m.Catalog.Application.validate(p)
	}
}

func (a *CatalogApplication) validate(p *problems) {
	for _, f := range []struct{ name, path string }{
		{"descriptionFile", a.DescriptionFile}, {"icon", a.Icon}, {"licenseFile", a.LicenseFile}, {"releaseNotes", a.ReleaseNotes},
	} {
		if f.path != "" && !localPath(f.path) {
			p.add("metadata.catalog.application.%s: %.80q is not a path inside the package such as ./resources/icon.png", f.name, f.path)
		}
	}
}

func localPath(s string) bool {
	clean := strings.TrimPrefix(s, "./")
	return clean != "" && path.Clean(clean) == clean && !path.IsAbs(clean) && clean != "." && clean != ".." &&
		!strings.HasPrefix(clean, "../") && !strings.ContainsAny(clean, "\\\x00:")
}

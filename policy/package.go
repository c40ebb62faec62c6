package policy

import (
	"fmt"
	"path"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// maxPurl bounds a package URL; those in use are below 512 bytes.
const maxPurl = 4096

// deniedPackages are the entries of a rule, by type and path of their purls, and
// by the names under which a package without one would go.
type deniedPackages struct {
	byPurl, byName map[string][]deniedPackage
}

type deniedPackage struct{ entry, version string }

func compilePackages(entries []string) (*deniedPackages, error) {
	d := &deniedPackages{map[string][]deniedPackage{}, map[string][]deniedPackage{}}
	for i, entry := range entries {
		p, err := parsePurl(entry)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %.200q: %w", i, entry, err)
		}
		e := deniedPackage{entry, p.version}
		d.byPurl[p.key()] = append(d.byPurl[p.key()], e)
		for _, name := range []string{p.path, p.path[strings.LastIndexByte(p.path, '/')+1:]} {
			name = looseName(name)
			d.byName[name] = append(d.byName[name], e)
		}
	}
	return d, nil
}

// check looks for a component among what is denied: by its purls, or by its name where
// it has none, whatever ecosystem that may be of.
func (d *deniedPackages) check(p component) error {
	if len(d.byPurl) == 0 {
		return nil
	}
	for _, text := range p.purls {
		purl, err := parsePurl(text)
		if err != nil {
			return reason.New(reason.Malformed, "purl %.200q: %w", text, err)
		}
		if err := anyOf(d.byPurl[purl.key()], purl.version, p.version); err != nil {
			return err
		}
	}
	if len(p.purls) > 0 {
		return nil
	}
	for _, name := range p.names {
		if err := anyOf(d.byName[looseName(name)], p.version); err != nil {
			return err
		}
	}
	return nil
}

// anyOf refuses if an entry is for every version, for one of these, or if nobody
// says which version it is.
func anyOf(entries []deniedPackage, versions ...string) error {
	known := strings.Join(versions, "") != ""
	for _, e := range entries {
		for _, v := range versions {
			if e.version == "" || !known || v != "" && looseVersion(v) == looseVersion(e.version) {
				return reason.New(reason.Attestation, "denied as %s", e.entry)
			}
		}
	}
	return nil
}

// purl is what is compared of a package URL.
type purl struct{ kind, path, version string }

func (p purl) key() string { return p.kind + "/" + p.path }

// parsePurl reads a package URL as its specification says (ECMA-427), and takes
// two spellings that some registry takes for one package as one: better a name
// too many is denied than one too few.
func parsePurl(text string) (purl, error) {
	if len(text) > maxPurl {
		return purl{}, fmt.Errorf("%d bytes, at most %d are read", len(text), maxPurl)
	}
	p, err := packageurl.FromString(text)
	if err != nil {
		return purl{}, fmt.Errorf("no package URL: %w", err)
	}
	full := strings.ToLower(path.Clean(strings.TrimSpace(p.Namespace + "/" + p.Name))) // "./a" and "/a" are "a"
	full = strings.Trim(full, "/")
	if p.Type == packageurl.TypePyPi {
		full = looseName(full)
	}
	return purl{strings.ToLower(p.Type), full, p.Version}, nil
}

// separators are one and the same in the names of some registries (PEP 503).
var separators = lazyregexp.New(`[-_.]+`)

// looseName is a name as no tool distinguishes it from another: Maven's "group:name"
// is "group/name".
func looseName(name string) string {
	name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), ":", "/")
	return separators.ReplaceAllString(name, "-")
}

// looseVersion is a version without the "v" of a tag.
func looseVersion(v string) string {
	v = strings.ToLower(strings.TrimSpace(v))
	if rest, ok := strings.CutPrefix(v, "v"); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		return rest
	}
	return v
}

var manifestDigest = lazyregexp.New(`^sha256:[0-9a-f]{64}$`)

// withDigests adds the digests that stand for an image in its version, or in the
// version of its purl (type oci and docker).
func (p component) withDigests() component {
	versions := []string{p.version}
	for _, text := range p.purls {
		if u, err := parsePurl(text); err == nil && (u.kind == packageurl.TypeOCI || u.kind == packageurl.TypeDocker) {
			versions = append(versions, u.version)
		}
	}
	for _, v := range versions {
		if manifestDigest.MatchString(v) {
			p.digests = append(p.digests, strings.TrimPrefix(v, "sha256:"))
		}
	}
	return p
}

package policy

import (
	"fmt"
	"strings"
	"sync"

	"github.com/github/go-spdx/v2/spdxexp/spdxlicenses"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// deniedLicenses are the entries of a rule: licences by their ids in the form of
// [single], and by names in words.
type deniedLicenses struct {
	ids, words map[string]string // as compared -> as written
}

var operator = lazyregexp.New(`[ (](AND|OR|WITH) `)

func compileLicenses(entries []string) (*deniedLicenses, error) {
	d := &deniedLicenses{map[string]string{}, map[string]string{}}
	for i, entry := range entries {
		d.words[inWords(entry)] = entry
		if strings.Contains(entry, " ") {
			if operator.MatchString(entry) {
				return nil, fmt.Errorf("[%d]: %.100q is an expression: name each licence", i, entry)
			}
			continue
		}
		id, later := strings.CutSuffix(entry, "+")
		if !isReference(id) && !listed(id) {
			return nil, fmt.Errorf("[%d]: %.100q is no id of the SPDX License List %s, no LicenseRef and no name in words", i, entry, spdxlicenses.LicenseListVersion())
		}
		for _, one := range choices(id, later) {
			d.ids[one] = entry
		}
	}
	return d, nil
}

// check insists that each licence of a part can be kept without a denied one.
func (d *deniedLicenses) check(p component, names map[string]string) error {
	if len(d.words) == 0 {
		return nil
	}
	for _, l := range p.licenses {
		entry, err := d.unavoidable(l, names)
		switch {
		case err != nil:
			return reason.New(reason.Malformed, "licence %.200q: %w", l.text, err)
		case entry != "":
			return reason.New(reason.Attestation, "licence %.200q: denied as %s", l.text, entry)
		}
	}
	return nil
}

// unavoidable is the denied entry that a licence leaves no way around, "" for none.
func (d *deniedLicenses) unavoidable(l license, names map[string]string) (string, error) {
	if entry, ok := d.words[inWords(l.text)]; ok && l.words {
		return entry, nil
	}
	entry, err := evaluate(l.text, func(id string, later bool) string { return d.leaf(id, later, names) })
	if l.words && err != nil {
		return "", nil // words that are no expression
	}
	return entry, err
}

// leaf is the entry that denies a single licence of an expression. Of several
// versions that it may be kept under, one that is not denied is enough.
func (d *deniedLicenses) leaf(id string, later bool, names map[string]string) string {
	if name, ok := names[strings.ToLower(id)]; ok {
		if entry, err := d.unavoidable(license{text: name, words: true}, nil); err == nil && entry != "" {
			return entry
		}
	}
	var entry string
	for _, one := range choices(id, later) {
		if entry = d.ids[one]; entry == "" {
			return ""
		}
	}
	return entry
}

// inWords is a name or id without regard to case and spaces.
func inWords(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

// isReference reports whether an id is defined by the document that uses it (SPDX
// 2.3, clause 10).
func isReference(id string) bool {
	id = strings.ToLower(id)
	return strings.HasPrefix(id, "licenseref-") || strings.HasPrefix(id, "documentref-")
}

func listed(id string) bool {
	active, _ := spdxlicenses.IsActiveLicense(id)
	deprecated, _ := spdxlicenses.IsDeprecatedLicense(id)
	return active || deprecated
}

// renamed are the ids that the list gave up for something that their spelling does
// not show (SPDX License List, deprecated ids).
var renamed = map[string]string{
	"bsd-2-clause-freebsd": "bsd-2-clause-views",
	"bsd-2-clause-netbsd":  "bsd-2-clause",
	"bzip2-1.0.5":          "bzip2-1.0.6",
	"ecos-2.0":             "gpl-2.0-or-later",
	"nunit":                "zlib-acknowledgement",
	"standardml-nj":        "smlnj",
	"wxwindows":            "gpl-2.0-or-later",
}

// single is the one spelling under which an id is compared, and whether it stands
// for later versions, too: "GPL-2.0", "gpl-2.0-only" and "GPL-2" are one licence,
// "GPL-2.0-with-GCC-exception" is that licence with more rights.
func single(id string) (one string, later bool) {
	one = strings.ToLower(id)
	if isReference(one) {
		return one, false
	}
	if !listed(one) && listed(one+".0") {
		one += ".0" // as Debian writes it
	}
	if now, ok := renamed[one]; ok {
		one = now
	}
	one, later = strings.CutSuffix(one, "-or-later")
	one = strings.TrimSuffix(one, "-only")
	if old, _ := spdxlicenses.IsDeprecatedLicense(id); old {
		one, _, _ = strings.Cut(one, "-with-")
	}
	return one, later
}

// choices are the versions under one of which a licence may be kept: itself, or
// each from it on.
func choices(id string, later bool) []string {
	one, orLater := single(id)
	if next := laterVersions()[one]; later || orLater {
		return append([]string{one}, next...)
	}
	return []string{one}
}

// laterVersions are those of each licence that has any, in the form of [single].
var laterVersions = sync.OnceValue(func() map[string][]string {
	out := map[string][]string{}
	for _, versions := range spdxlicenses.LicenseRanges() {
		var line []string
		for _, same := range versions {
			one, _ := single(same[0])
			line = append(line, one)
		}
		for i, one := range line {
			if len(line)-i-1 > len(out[one]) {
				out[one] = line[i+1:]
			}
		}
	}
	return out
})

package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// listing is an SBOM of a release by the pipeline that [wanted] names.
func listing(predicateType, predicate string) policy.Attestation {
	return policy.Attestation{Signers: []policy.Signer{released()}, PredicateType: predicateType, Subjects: []string{wholeID}, Predicate: []byte(predicate)}
}

// cyclonedx has components, as members of a JSON array.
func cyclonedx(components string) policy.Attestation {
	return listing(policy.CycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"left-pad","purl":"pkg:npm/left-pad@1.3.0"},`+components+`]}`)
}

// spdx has one package with these members, and what else the document says.
func spdx(members, more string) policy.Attestation {
	return listing(policy.SPDX, `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[{"SPDXID":"SPDXRef-a",`+members+`}]`+more+`}`)
}

// denying is a rule for SBOMs of a type.
func denying(predicateType string, packages, licenses []string) policy.AttestationRule {
	return policy.AttestationRule{
		Name: "contents", PredicateType: predicateType, About: policy.AboutBundle, Threshold: 1, Identities: []policy.Identity{wanted()},
		SBOM: &policy.SBOMRule{Deny: policy.SBOMDeny{Packages: packages, Licenses: licenses}},
	}
}

func withPurl(purl string) policy.Attestation {
	return cyclonedx(fmt.Sprintf(`{"type":"library","name":"x","purl":%q}`, purl))
}

// TestSBOMDeniesPackages: a denied package is found under every spelling of its
// package URL, and by its name where there is none.
func TestSBOMDeniesPackages(t *testing.T) {
	deny := []string{"pkg:npm/event-stream", "pkg:golang/example.com/Evil@v1.2.3", "pkg:npm/%40acme/tool", "pkg:pypi/zope.interface", "pkg:maven/org.acme/log@2.0"}
	for name, a := range map[string]policy.Attestation{
		"any version":          withPurl("pkg:npm/event-stream@3.3.6"),
		"no version":           withPurl("pkg:npm/event-stream"),
		"qualifiers":           withPurl("pkg:npm/event-stream@3.3.6?vcs_url=x#lib"),
		"slashes":              withPurl("pkg://npm/event-stream@3.3.6"),
		"a dot":                withPurl("pkg:npm/./event-stream@3.3.6"),
		"a space":              withPurl("pkg:npm/event-stream%20@3.3.6"),
		"upper case":           withPurl("PKG:NPM/Event-Stream@3.3.6"),
		"escapes":              withPurl("pkg:npm/%65vent%2Dstream@3.3.6"),
		"this version":         withPurl("pkg:golang/example.com/evil@v1.2.3"),
		"without v":            withPurl("pkg:golang/example.com/evil@1.2.3"),
		"an escaped slash":     withPurl("pkg:golang/example.com%2fevil@v1.2.3"),
		"an escaped version":   withPurl("pkg:golang/example.com/evil@v1%2E2.3"),
		"which version?":       withPurl("pkg:golang/example.com/evil"),
		"version beside":       cyclonedx(`{"name":"x","version":"1.2.3","purl":"pkg:golang/example.com/evil"}`),
		"two versions":         cyclonedx(`{"name":"x","version":"1.2.3","purl":"pkg:golang/example.com/evil@v9.0.0"}`),
		"a scope":              withPurl("pkg:npm/@acme/tool@1"),
		"an escaped scope":     withPurl("pkg:npm/%40Acme/tool@1"),
		"another separator":    withPurl("pkg:pypi/Zope_Interface@5"),
		"nested":               cyclonedx(`{"name":"a","components":[{"name":"b","components":[{"name":"c","purl":"pkg:npm/event-stream@1"}]}]}`),
		"what is described":    listing(policy.CycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.4","metadata":{"component":{"name":"c","purl":"pkg:npm/event-stream@1"}}}`),
		"by name":              cyclonedx(`{"name":"event-stream","version":"3.3.6"}`),
		"by name and group":    cyclonedx(`{"group":"@acme","name":"tool","version":"1"}`),
		"by name and version":  cyclonedx(`{"group":"org.acme","name":"log","version":"2.0"}`),
		"by the short name":    cyclonedx(`{"name":"evil","version":"1.2.3"}`),
		"no purl":              cyclonedx(`{"name":"event-stream","version":"1","purl":"event-stream@1"}`),
		"SPDX":                 spdx(`"name":"x","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/event-stream@1"}]`, ""),
		"SPDX, a second purl":  spdx(`"name":"x","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"},{"referenceType":"purl","referenceLocator":"pkg:npm/event-stream@1"}]`, ""),
		"SPDX, type as a URI":  spdx(`"name":"x","externalRefs":[{"referenceType":"http://spdx.org/rdf/references/purl","referenceLocator":"pkg:npm/event-stream@1"}]`, ""),
		"SPDX, by name":        spdx(`"name":"event-stream","versionInfo":"3.3.6"`, ""),
		"SPDX, as Maven's":     spdx(`"name":"org.acme:log","versionInfo":"2.0"`, ""),
		"SPDX, which version?": spdx(`"name":"org.acme:log"`, ""),
	} {
		_, err := denying(a.PredicateType, deny, nil).Check([]policy.Attestation{a}, about)
		want := reason.Attestation
		if name == "no purl" {
			want = reason.Malformed
		}
		if !reason.Is(err, want) || !strings.Contains(err.Error(), "pkg:") && want == reason.Attestation {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, a := range map[string]policy.Attestation{
		"another version":   withPurl("pkg:golang/example.com/evil@v1.2.4"),
		"another type":      withPurl("pkg:gem/event-stream@1"),
		"another namespace": withPurl("pkg:npm/%40acme/event-stream@1"),
		"a longer name":     withPurl("pkg:npm/event-stream-2@1"),
		"a name, but typed": cyclonedx(`{"name":"event-stream","purl":"pkg:deb/debian/event-stream@1"}`),
		"a file":            spdx(`"name":"x"`, `,"files":[{"fileName":"event-stream"}]`),
		"SPDX":              spdx(`"name":"org.acme:log","versionInfo":"2.1"`, ""),
	} {
		if _, err := denying(a.PredicateType, deny, nil).Check([]policy.Attestation{a}, about); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSBOMDeniesLicenses: a denied licence is found in every form in which an SBOM
// may name it, unless the expression leaves a way without it.
func TestSBOMDeniesLicenses(t *testing.T) {
	deny := []string{"AGPL-3.0-only", "GPL-3.0-or-later", "LGPL-2.1", "LicenseRef-Acme-Secret", "Acme Commercial License", "SSPL-1.0"}
	rules := map[string]policy.AttestationRule{policy.SPDX: denying(policy.SPDX, nil, deny), policy.CycloneDX: denying(policy.CycloneDX, nil, deny)}
	for text, code := range map[string]reason.Code{
		"AGPL-3.0-only":                        reason.Attestation,
		"agpl-3.0-ONLY":                        reason.Attestation,
		"AGPL-3.0":                             reason.Attestation,
		"AGPL-3.0+":                            reason.Attestation, // no later one exists
		"AGPL-3.0-or-later":                    reason.Attestation,
		"AGPL-3":                               reason.Attestation,
		"AGPL-1.0-only":                        "",
		"AGPL-1.0-or-later":                    "",
		"GPL-3.0-only":                         reason.Attestation,
		"GPL-3.0":                              reason.Attestation,
		"GPL-3.0-with-GCC-exception":           reason.Attestation,
		"GPL-3.0-only WITH GCC-exception-3.1":  reason.Attestation,
		"GPL-2.0-only":                         "",
		"GPL-2.0+":                             "", // 2.0 is a way
		"LGPL-2.1-only":                        reason.Attestation,
		"LGPL-2.1-or-later":                    "", // 3.0 is a way
		"MIT":                                  "",
		"MIT OR AGPL-3.0-only":                 "",
		"MIT AND AGPL-3.0-only":                reason.Attestation,
		"mit and agpl-3.0-only":                reason.Attestation,
		"SSPL-1.0 OR AGPL-3.0-only":            reason.Attestation,
		"MIT OR Apache-2.0 AND AGPL-3.0-only":  "", // AND binds tighter
		"(MIT OR Apache-2.0)AND AGPL-3.0-only": reason.Attestation,
		"((MIT)) OR (SSPL-1.0 AND (BSD-2-Clause))": "",
		"LicenseRef-acme-secret":                   reason.Attestation,
		"DocumentRef-x:LicenseRef-Acme-Secret":     "",
		"LicenseRef-other":                         "",
		"NOASSERTION":                              "",
		"NONE":                                     "",
		"MIT AND":                                  reason.Malformed,
		"AGPL-3.0-only MIT":                        reason.Malformed,
		"(MIT":                                     reason.Malformed,
		"OR":                                       reason.Malformed,
		"GNU GPL, version 3":                       reason.Malformed,
		strings.Repeat("(", 40) + "MIT" + strings.Repeat(")", 40):   reason.Malformed,
		strings.Repeat("MIT OR AGPL-3.0-only AND ", 600) + "MIT":    "",
		strings.Repeat("MIT AND ", 4000) + "MIT":                    reason.Malformed, // too long
		"MIT AND (" + strings.Repeat("SSPL-1.0 OR ", 900) + "MIT )": "",
	} {
		for form, a := range map[string]policy.Attestation{
			"declared":        spdx(fmt.Sprintf(`"name":"x","licenseConcluded":"MIT","licenseDeclared":%q`, text), ""),
			"concluded":       spdx(fmt.Sprintf(`"name":"x","licenseConcluded":%q,"licenseDeclared":"NOASSERTION"`, text), ""),
			"of a file":       spdx(`"name":"x"`, fmt.Sprintf(`,"files":[{"fileName":"f","licenseConcluded":%q}]`, text)),
			"of a snippet":    spdx(`"name":"x"`, fmt.Sprintf(`,"snippets":[{"name":"s","licenseConcluded":%q}]`, text)),
			"expression":      cyclonedx(fmt.Sprintf(`{"name":"x","licenses":[{"expression":%q}]}`, text)),
			"id":              cyclonedx(fmt.Sprintf(`{"name":"x","licenses":[{"license":{"id":"MIT"}},{"license":{"id":%q}}]}`, text)),
			"of a nested one": cyclonedx(fmt.Sprintf(`{"name":"y","components":[{"name":"x","licenses":[{"license":{"id":%q}}]}]}`, text)),
		} {
			_, err := rules[a.PredicateType].Check([]policy.Attestation{a}, about)
			if reason.Of(err) != code || (err == nil) != (code == "") {
				t.Errorf("%.60s, %s: %v, want %q", text, form, err, code)
			}
		}
	}
}

// TestSBOMLicensesInWords: a name is compared as a name, and as an id if it is one.
func TestSBOMLicensesInWords(t *testing.T) {
	deny := []string{"AGPL-3.0-only", "Acme  Commercial License"}
	for name, refused := range map[string]bool{
		"acme commercial  license": true, "AGPL-3.0-only": true, "AGPL-3.0-or-later": true, "Apache License, Version 2.0 (or later": false, "MIT OR AGPL-3.0": false,
	} {
		for form, a := range map[string]policy.Attestation{
			"CycloneDX": cyclonedx(fmt.Sprintf(`{"name":"x","licenses":[{"license":{"name":%q}}]}`, name)),
			"SPDX": spdx(`"name":"x","licenseDeclared":"LicenseRef-1"`,
				fmt.Sprintf(`,"hasExtractedLicensingInfos":[{"licenseId":"LicenseRef-1","name":%q,"extractedText":"..."}]`, name)),
		} {
			_, err := denying(a.PredicateType, nil, deny).Check([]policy.Attestation{a}, about)
			if refused != reason.Is(err, reason.Attestation) || refused != (err != nil) {
				t.Errorf("%s, %s: %v", name, form, err)
			}
		}
	}
}

// TestSBOMThatIsNone: what is not there and what cannot be read is refused, also
// where nothing is denied.
func TestSBOMThatIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		a    policy.Attestation
		code reason.Code
		says string
	}{
		"empty":                {listing(policy.SPDX, `{}`), reason.Malformed, "spdxVersion"},
		"SPDX 3":               {listing(policy.SPDX, `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`), reason.Malformed, "SPDX 3"},
		"an older SPDX":        {listing(policy.SPDX, `{"spdxVersion":"SPDX-2.1","packages":[{"name":"a"}]}`), reason.Malformed, "SPDX-2.1"},
		"tag-value":            {listing(policy.SPDX, `"SPDXVersion: SPDX-2.3"`), reason.Malformed, "SPDX"},
		"another format":       {listing(policy.SPDX, string(cyclonedx(`{"name":"x"}`).Predicate)), reason.Malformed, "spdxVersion"},
		"no package":           {listing(policy.SPDX, `{"spdxVersion":"SPDX-2.3","files":[{"fileName":"f"}]}`), reason.Attestation, "no package"},
		"no component":         {listing(policy.CycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6"}`), reason.Attestation, "no component"},
		"a CycloneDX to come":  {listing(policy.CycloneDX, `{"bomFormat":"CycloneDX","specVersion":"2.0","components":[{"name":"x"}]}`), reason.Malformed, "2.0"},
		"twice":                {listing(policy.CycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"x"}],"components":[]}`), reason.Malformed, "duplicate"},
		"another case":         {listing(policy.CycloneDX, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"x","PURL":"pkg:npm/a"}]}`), reason.Malformed, "purl"},
		"too deep":             {cyclonedx(strings.Repeat(`{"name":"x","components":[`, 40) + `{"name":"x"}` + strings.Repeat(`]}`, 40)), reason.TooLarge, "deep"},
		"too many":             {cyclonedx(strings.Repeat(`{"name":"x"},`, 20000) + `{"name":"x"}`), reason.TooLarge, "20002"},
		"a type as of SPDX 3":  {listing(policy.SPDX+"/v3.0", `{}`), reason.Attestation, "none of type"},
		"of something else":    {policy.Attestation{Signers: []policy.Signer{released()}, PredicateType: policy.SPDX, Subjects: []string{imageA}, Predicate: spdx(`"name":"x"`, "").Predicate}, reason.Attestation, "none of type"},
		"by somebody else":     {policy.Attestation{Signers: []policy.Signer{{KeyID: "k"}}, PredicateType: policy.SPDX, Subjects: []string{wholeID}, Predicate: spdx(`"name":"x"`, "").Predicate}, reason.UntrustedSigner, "not accept"},
		"with a version of it": {listing(policy.SPDX+"/v2.3", `{}`), reason.Attestation, "none of type"},
	} {
		rule := denying(policy.SPDX, nil, nil)
		if c.a.PredicateType == policy.CycloneDX {
			rule.PredicateType = policy.CycloneDX
		}
		rule.SBOM = nil
		if _, err := rule.Check([]policy.Attestation{c.a}, about); !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %s with %q", name, err, c.code, c.says)
		}
	}
}

// TestSecondSBOMTakesNothingBack: what one SBOM of an accepted signer says is in
// the release is in it, whatever others leave out, of either format and about
// whichever part.
func TestSecondSBOMTakesNothingBack(t *testing.T) {
	clean, bad := cyclonedx(`{"name":"x"}`), withPurl("pkg:npm/event-stream@3.3.6")
	rule := denying(policy.CycloneDX, []string{"pkg:npm/event-stream"}, nil)
	if _, err := rule.Check([]policy.Attestation{clean}, about); err != nil {
		t.Fatal(err)
	}
	ofImage, stranger, unread := bad, bad, clean
	ofImage.Subjects, stranger.Signers = []string{imageA}, []policy.Signer{{KeyID: "k"}}
	unread.PredicateType, unread.Predicate = policy.SPDX+"/v3.0.1", []byte(`{"@context":"x"}`)
	otherFormat := spdx(`"name":"event-stream"`, "")
	otherFormat.PredicateType = policy.SPDX + "/v2.3"
	for name, c := range map[string]struct {
		a    policy.Attestation
		code reason.Code
	}{
		"beside": {bad, reason.Attestation}, "of an image": {ofImage, reason.Attestation}, "as SPDX": {otherFormat, reason.Attestation},
		"unreadable": {unread, reason.Malformed}, "by a stranger": {stranger, ""},
	} {
		for _, found := range [][]policy.Attestation{{clean, c.a}, {c.a, clean}} {
			if _, err := rule.Check(found, about); reason.Of(err) != c.code {
				t.Errorf("%s: %v, want %q", name, err, c.code)
			}
		}
	}
}

// TestSBOMCoversImages: each image of the bundle is in the SBOM, by its digest.
func TestSBOMCoversImages(t *testing.T) {
	hash := func(d string) string {
		return fmt.Sprintf(`{"name":"i","hashes":[{"alg":"SHA-256","content":%q}]}`, strings.ToUpper(d))
	}
	for name, c := range map[string]struct {
		a   policy.Attestation
		yes bool
	}{
		"hashes":         {cyclonedx(hash(imageA) + "," + hash(imageB)), true},
		"purls":          {cyclonedx(`{"name":"i","purl":"pkg:oci/i@sha256%3A` + imageA + `"},{"name":"i","purl":"pkg:oci/i@sha256:` + imageB + `?tag=1"}`), true},
		"versions":       {cyclonedx(`{"name":"i","version":"sha256:` + imageA + `"},` + hash(imageB)), true},
		"one is missing": {cyclonedx(hash(imageA)), false},
		"another hash":   {cyclonedx(hash(imageA) + `,{"name":"i","hashes":[{"alg":"SHA3-256","content":"` + imageB + `"}]}`), false},
		"another type":   {cyclonedx(hash(imageA) + `,{"name":"i","purl":"pkg:npm/i@sha256:` + imageB + `"}`), false},
		"SPDX": {spdx(`"name":"a","checksums":[{"algorithm":"SHA256","checksumValue":"`+imageA+`"},{"algorithm":"SHA1","checksumValue":"00"}],
			"externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:oci/b@sha256%3A`+imageB+`"}]`, ""), true},
		"SPDX, one is missing": {spdx(`"name":"a","versionInfo":"sha256:`+imageA+`"`, ""), false},
	} {
		rule := denying(c.a.PredicateType, nil, nil)
		rule.SBOM.Covers = "images"
		_, err := rule.Check([]policy.Attestation{c.a}, about)
		if c.yes != (err == nil) || !c.yes && !reason.Is(err, reason.Attestation) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := rule.Check([]policy.Attestation{c.a}, policy.Subjects{Bundle: wholeID}); !reason.Is(err, reason.Attestation) {
			t.Errorf("%s, no image: %v", name, err)
		}
	}
}

func TestSBOMOfAPolicy(t *testing.T) {
	const rules = `    attestations:
      - name: contents
        predicateType: https://spdx.dev/Document/v2.3
        about: bundle
        threshold: 1
        identities:
          - {trustedRoot: public, issuer: https://token.example.com, subject: https://github.com/acme/app}
        sbom:
          deny:
            packages: ["pkg:npm/event-stream"]
            licenses: [AGPL-3.0-only, "Acme Commercial License"]
          covers: images
`
	good := keyless("          - {trustedRoot: public, issuer: https://token.example.com, subject: https://github.com/acme/app}\n", 1) + rules
	if _, err := policy.Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for change, want := range map[[2]string]string{
		{"https://spdx.dev/Document/v2.3", "https://slsa.dev/provenance/v1"}: "sbom.predicateType",
		{"https://spdx.dev/Document/v2.3", "https://spdx.dev/Document/v3.0"}: "sbom.predicateType",
		{"pkg:npm/event-stream", "npm/event-stream"}:                         "sbom.deny.packages[0]",
		{"AGPL-3.0-only", "AGPL-3.0-onyl"}:                                   "sbom.deny.licenses[0]",
		{"Acme Commercial License", "MIT OR GPL-2.0-only"}:                   "sbom.deny.licenses[1]",
		{"Acme Commercial License", " "}:                                     "empty",
		{"covers: images", "covers: everything"}:                             "sbom.covers",
		{"about: bundle", "about: images"}:                                   "sbom.covers",
		{"licenses:", "licences:"}:                                           "licences",
		{`packages: ["pkg:npm/event-stream"]`, "packages: []"}:               "empty",
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Fatalf("%q is not in the policy", change[0])
		}
		if _, err := policy.Parse([]byte(text)); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want one that says %s", change[1], err, want)
		}
	}
	many := `packages: ["pkg:npm/event-stream"` + strings.Repeat(`,"pkg:npm/a"`, 1024) + "]"
	if _, err := policy.Parse([]byte(strings.Replace(good, `packages: ["pkg:npm/event-stream"]`, many, 1))); err == nil || !strings.Contains(err.Error(), "1025 entries") {
		t.Errorf("too many: %v", err)
	}
}

func TestSBOMType(t *testing.T) {
	for document, want := range map[string]string{
		string(spdx(`"name":"x"`, "").Predicate):    policy.SPDX,
		string(cyclonedx(`{"name":"x"}`).Predicate): policy.CycloneDX,
		`{}`:                           "",
		`{"@context":"x","@graph":[]}`: "",
		`{"bomFormat":"CycloneDX"}`:    "",
		`{"spdxVersion":"SPDX-2.3","packages":[]}`:    "",
		`{"_type":"https://in-toto.io/Statement/v1"}`: "",
	} {
		got, err := policy.SBOMType([]byte(document))
		if (want == "") != (err != nil) || err == nil && got != want {
			t.Errorf("%s: %q, %v", document, got, err)
		}
	}
}

// FuzzSBOM: what is accepted names nothing that is denied in the plainest form.
func FuzzSBOM(f *testing.F) {
	f.Add(true, withPurl("pkg:npm/event-stream@3.3.6").Predicate)
	f.Add(true, cyclonedx(`{"name":"x","components":[{"name":"y","licenses":[{"license":{"id":"MIT"}},{"expression":"MIT OR (AGPL-3.0-only AND MIT)"}]}]}`).Predicate)
	f.Add(false, spdx(`"name":"x","licenseDeclared":"MIT AND AGPL-3.0-only","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]`, "").Predicate)
	f.Fuzz(func(t *testing.T, isCycloneDX bool, data []byte) {
		a := listing(policy.SPDX, string(data))
		if isCycloneDX {
			a.PredicateType = policy.CycloneDX
		}
		rule := denying(a.PredicateType, []string{"pkg:npm/event-stream"}, []string{"AGPL-3.0-only"})
		if _, err := rule.Check([]policy.Attestation{a}, about); err != nil {
			return
		}
		var doc struct {
			Packages []struct {
				LicenseConcluded string `json:"licenseConcluded"`
			} `json:"packages"`
			Components []struct {
				Purl string `json:"purl"`
			} `json:"components"`
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatalf("accepted %q: %v", data, err)
		}
		for _, p := range doc.Packages {
			if !isCycloneDX && p.LicenseConcluded == "AGPL-3.0-only" {
				t.Errorf("accepted %s", data)
			}
		}
		for _, c := range doc.Components {
			if isCycloneDX && strings.HasPrefix(c.Purl, "pkg:npm/event-stream@") {
				t.Errorf("accepted %s", data)
			}
		}
	})
}

package bundle

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// PlatformString writes a platform as "linux/arm/v7", for messages.
func PlatformString(p ocispec.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// SelectImage returns the descriptor of the one platform manifest of image
// that runs on want. data are the checked bytes of image, an index or a manifest.
//
// The rule: operating system and architecture are equal, and the variant is
// the highest that is not above the device's (no variant means amd64/v1,
// arm/v7, arm64/v8, as image builders mean it). If two entries are equally
// good the index is refused, since which of them ran would be chance (attack
// O6). Entries without a platform, and those for "unknown/unknown" (the
// attestations that buildx stores beside its images), are never chosen.
// No fitting entry is refused as platform, a broken document as malformed.
func SelectImage(image ocispec.Descriptor, data []byte, want ocispec.Platform) (ocispec.Descriptor, error) {
	doc, err := readImageDocument(image, data)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if isImageManifest(image.MediaType) {
		return selectFrom(image, []ocispec.Descriptor{image}, want)
	}
	return selectFrom(image, doc.Manifests, want)
}

// imageDocument has the members that tell an index from a manifest. Images are
// made by many tools, so other members are ignored, as the OCI specification asks.
type imageDocument struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Config        json.RawMessage      `json:"config"`
	Layers        json.RawMessage      `json:"layers"`
	FSLayers      json.RawMessage      `json:"fsLayers"`
}

// readImageDocument refuses a document that could be read as another kind than
// its descriptor says (attack O4).
func readImageDocument(image ocispec.Descriptor, data []byte) (imageDocument, error) {
	var doc imageDocument
	if err := strictjson.UnmarshalOpen(data, &doc, limits); err != nil {
		return doc, fmt.Errorf("image %s: %w", image.Digest, err)
	}
	// OCI leaves mediaType optional; Docker does not.
	omitted := doc.MediaType == "" && strings.HasPrefix(image.MediaType, "application/vnd.oci.")
	if doc.SchemaVersion != 2 || (doc.MediaType != image.MediaType && !omitted) {
		return doc, malformed("image %s: schemaVersion %d and mediaType %q: want 2 and %s",
			image.Digest, doc.SchemaVersion, doc.MediaType, image.MediaType)
	}
	return doc, doc.checkMembers(image)
}

// checkMembers insists on the members of the one kind and on none of another.
func (doc imageDocument) checkMembers(image ocispec.Descriptor) error {
	index := isImageIndex(image.MediaType)
	for _, m := range []struct {
		name       string
		has, wants bool
	}{
		{"manifests", doc.Manifests != nil, index},
		{"config", doc.Config != nil, !index},
		{"layers", doc.Layers != nil, !index},
		{"fsLayers", doc.FSLayers != nil, false},
	} {
		switch {
		case m.has && !m.wants:
			return malformed("image %s: member %q does not belong in %s", image.Digest, m.name, image.MediaType)
		case m.wants && !m.has:
			return malformed("image %s: member %q is missing", image.Digest, m.name)
		}
	}
	return nil
}

func selectFrom(image ocispec.Descriptor, entries []ocispec.Descriptor, want ocispec.Platform) (ocispec.Descriptor, error) {
	best, bestRank, twice := ocispec.Descriptor{}, -1, false
	var offered []string
	for _, e := range entries {
		if e.Platform == nil {
			continue
		}
		offered = append(offered, PlatformString(*e.Platform))
		rank := fit(*e.Platform, want)
		switch {
		case rank < 0 || rank < bestRank:
		case rank == bestRank:
			twice = true
		default:
			best, bestRank, twice = e, rank, false
		}
	}
	if bestRank < 0 {
		return best, reason.New(reason.Platform, "image %s: nothing for %s; it offers %s",
			image.Digest, PlatformString(want), strings.Join(offered, ", "))
	}
	if twice {
		return best, reason.New(reason.Platform, "image %s: more than one entry for %s", image.Digest, PlatformString(*best.Platform))
	}
	return chosen(image, best)
}

func chosen(image, d ocispec.Descriptor) (ocispec.Descriptor, error) {
	where := "image " + string(image.Digest) + ": entry for " + PlatformString(*d.Platform)
	if err := checkDescriptor(where, d, MaxManifestBytes); err != nil {
		return ocispec.Descriptor{}, err
	}
	if !isImageManifest(d.MediaType) {
		return ocispec.Descriptor{}, malformed("%s: mediaType %q is not that of an image manifest", where, d.MediaType)
	}
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, Platform: d.Platform}, nil
}

// fit returns how well an image for have runs on want: -1 not at all, else
// higher is better.
func fit(have, want ocispec.Platform) int {
	if have.OS != want.OS || have.Architecture != want.Architecture {
		return -1
	}
	h, w := variantRank(have), variantRank(want)
	if h < 0 || h > w {
		return -1
	}
	return h
}

var variantPattern = lazyregexp.New(`^v([1-9][0-9]?)(?:\.([0-9]{1,2}))?$`)

// variantRank orders the variants of one architecture; -1 is one we cannot order.
func variantRank(p ocispec.Platform) int {
	variant := p.Variant
	if variant == "" {
		variant = defaultVariant(p.Architecture)
	}
	m := variantPattern.FindStringSubmatch(variant)
	if m == nil {
		return -1
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major*100 + minor
}

func defaultVariant(architecture string) string {
	switch architecture {
	case "arm":
		return "v7"
	case "arm64":
		return "v8"
	default:
		return "v1"
	}
}

var platformWord = lazyregexp.New(`^[a-z0-9]{1,32}$`)

// checkPlatform checks the platform of a single manifest in a bundle.
func checkPlatform(where string, p *ocispec.Platform) error {
	if p == nil {
		return malformed("%s: a single manifest needs its platform", where)
	}
	if !platformWord.MatchString(p.OS) || !platformWord.MatchString(p.Architecture) || p.OS == "unknown" {
		return malformed("%s: platform %q is not an operating system and an architecture", where, PlatformString(*p))
	}
	if variantRank(*p) < 0 {
		return malformed("%s: platform variant %q: want a form such as v7", where, p.Variant)
	}
	if p.OSVersion != "" || p.OSFeatures != nil {
		return malformed("%s: platform: os.version and os.features are not allowed", where)
	}
	return nil
}

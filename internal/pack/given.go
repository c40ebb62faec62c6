package pack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
)

// givenImage is the source of an image that the caller names.
type givenImage struct{ scheme, target string }

// The schemes of [Options].Images.
const (
	schemeLayout  = "oci"
	schemeArchive = "docker-archive"
	schemeEngine  = "docker-daemon"
)

func parseGiven(images map[string]string) (map[string]givenImage, error) {
	given := map[string]givenImage{}
	for _, ref := range slices.Sorted(maps.Keys(images)) {
		normal, err := bundle.NormalizeReference(ref)
		if err != nil {
			return nil, fmt.Errorf("--image: %w", err)
		}
		scheme, target, _ := strings.Cut(images[ref], ":")
		if target == "" || scheme != schemeLayout && scheme != schemeArchive && scheme != schemeEngine {
			return nil, reason.New(reason.Malformed, "--image %s=%s: want oci:DIR, docker-archive:FILE or docker-daemon:REFERENCE", ref, images[ref])
		}
		if _, twice := given[normal]; twice {
			return nil, reason.New(reason.Malformed, "--image: %s is given twice", normal)
		}
		given[normal] = givenImage{scheme: scheme, target: target}
	}
	return given, nil
}

// checkGivenUsed refuses an image that no component names: it is misspelt, and
// the one that was meant would come from somewhere else.
func (p *packer) checkGivenUsed() error {
	for _, ref := range slices.Sorted(maps.Keys(p.given)) {
		if _, ok := p.wanted[ref]; !ok {
			return reason.New(reason.Malformed, "--image: no component names %s; they name %s",
				ref, strings.Join(slices.Sorted(maps.Keys(p.wanted)), ", "))
		}
	}
	return nil
}

func (p *packer) fromGiven(ctx context.Context, ref string) (located, bool, error) {
	given, ok := p.given[ref]
	if !ok {
		return located{}, false, nil
	}
	var found located
	var err error
	switch given.scheme {
	case schemeLayout:
		found, err = fromLayout(given.target, ref)
	case schemeArchive:
		found, err = fromArchive(given.target, ref)
	default:
		found, err = p.fromEngine(ctx, given.target)
	}
	if err != nil {
		return located{}, false, fmt.Errorf("--image %s:%s: %w", given.scheme, given.target, err)
	}
	found.where = given.scheme + ":" + given.target
	return found, true, nil
}

// fromLayout takes the image of that name, or the only one there is.
func fromLayout(dir, ref string) (located, error) {
	images, err := readLayout(dir, dir)
	if err != nil {
		return located{}, err
	}
	if len(images) == 1 {
		return located{desc: images[0].desc, from: images[0].from}, nil
	}
	found, ok, err := pick(images, ref)
	if err == nil && !ok {
		err = reason.New(reason.Malformed, "%d images and none is called %s", len(images), ref)
	}
	return found, err
}

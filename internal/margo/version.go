package margo

import (
	"fmt"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// A revision is SemVer 2.0 with "_" for "+", because an OCI tag cannot hold
// "+" (Margo 1.0.0-rc.3, ComponentProperties; the expression is semver.org's).
var revision = lazyregexp.New(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:_([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

// ociTag is the grammar of a tag in OCI Distribution Spec 1.1, Pulling
// manifests.
var ociTag = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// CompareVersions compares two versions by SemVer 2.0 precedence and returns
// -1, 0 or +1. Build metadata, after "+" or Margo's "_", does not count. MAJOR
// and MAJOR.MINOR stand for MAJOR.0.0 and MAJOR.MINOR.0. Anything else is an
// error, so that no floor is ever judged by guessing.
func CompareVersions(a, b string) (int, error) {
	va, err := asSemVer(a)
	if err != nil {
		return 0, err
	}
	vb, err := asSemVer(b)
	if err != nil {
		return 0, err
	}
	return semver.Compare(va, vb), nil
}

func asSemVer(v string) (string, error) {
	sv := "v" + strings.ReplaceAll(v, "_", "+")
	if !semver.IsValid(sv) {
		return "", fmt.Errorf("compare versions: %.128q is not a semantic version such as 1.4.0", v)
	}
	return sv, nil
}

package margo

import (
	"strconv"
	"strings"
	"time"
)

// DefaultTimeout is how long a component may take to become ready when it does
// not say; the specification names no default.
const DefaultTimeout = 5 * time.Minute

// maxTimeout bounds a timeout: a device that waits longer for one component
// is not waiting, it hangs.
const maxTimeout = 24 * time.Hour

// Component is one deployable part of a profile.
type Component struct {
	Name       string              `yaml:"name"` // ^[a-z0-9-]{1,200}$, unique in its profile
	Properties ComponentProperties `yaml:"properties"`
	Extensions Extensions          `yaml:",inline"` // for the device, carried unchanged
}

// ComponentProperties says where a component comes from and how to install it.
type ComponentProperties struct {
	Repository string `yaml:"repository"`        // oci://host[:port]/path, without tag or digest
	Revision   string `yaml:"revision"`          // an OCI tag: SemVer 2.0 without "v", "_" for "+"
	Wait       *bool  `yaml:"wait,omitempty"`    // nil means true
	Timeout    string `yaml:"timeout,omitempty"` // ^\d+m\d+s$, "" means DefaultTimeout
}

// Retired says what became of fields of earlier releases.
func (ComponentProperties) Retired(field string) string {
	switch field {
	case "packageLocation":
		return "replaced in Margo 1.0.0-rc.2: a component is an OCI artifact, write repository (oci://host/path) and revision (its tag)"
	case "keyLocation":
		return "removed in Margo 1.0.0-rc.2 with the signed archives it was for: delete it"
	}
	return ""
}

// TimeoutDuration is the component's timeout, [DefaultTimeout] when it names
// none. The component must come from a parsed document.
func (c Component) TimeoutDuration() time.Duration {
	if d, ok := parseTimeout(c.Properties.Timeout); ok {
		return d
	}
	return DefaultTimeout
}

// WaitEnabled reports whether the next component waits for this one.
func (c Component) WaitEnabled() bool { return c.Properties.Wait == nil || *c.Properties.Wait }

// parseTimeout reads "8m30s". time.ParseDuration alone would also take "5m".
func parseTimeout(s string) (time.Duration, bool) {
	m, rest, found := strings.Cut(s, "m")
	sec, terminated := strings.CutSuffix(rest, "s")
	if !found || !terminated || !digits(m) || !digits(sec) {
		return 0, false
	}
	minutes, err1 := strconv.ParseUint(m, 10, 32)
	seconds, err2 := strconv.ParseUint(sec, 10, 32)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	d := time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second
	return d, d > 0 && d <= maxTimeout
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

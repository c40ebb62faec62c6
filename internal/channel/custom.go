package channel

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// customLimits bounds the custom object of one target: 64 KiB are the
// references of some 600 pieces of evidence.
var customLimits = strictjson.Limits{Bytes: 64 << 10, Depth: 8}

// ReleaseCustom is the custom object of a release target.
type ReleaseCustom struct {
	// Evidence lists what counts about the bundle; order is of no account.
	Evidence []EvidenceRef `json:"evidence"`
}

// EvidenceRef names an evidence manifest in the bundle's repository.
type EvidenceRef struct {
	Digest digest.Digest `json:"digest"`
	// Size is the manifest's length in bytes.
	Size int64 `json:"size"`
}

// DeviceCustom is the custom object of a device target.
type DeviceCustom struct {
	// LogKey is the C2SP note verifier key of the device's log, as it was
	// enrolled.
	LogKey string `json:"logKey,omitempty"`
	// ProfileTypes are the types of profiles that the device applies, of
	// [margo.AppliedTypes]; nil where they were not recorded.
	ProfileTypes []string `json:"profileTypes,omitempty"`
}

// ParseReleaseCustom reads the custom object of a release target
// (docs/spec/channel.md); of a target without one, nil, it is empty. The error
// has reason malformed or too-large.
func ParseReleaseCustom(data []byte) (ReleaseCustom, error) { return parseCustom[ReleaseCustom](data) }

// ParseDeviceCustom is [ParseReleaseCustom] for a device target.
func ParseDeviceCustom(data []byte) (DeviceCustom, error) {
	c, err := parseCustom[DeviceCustom](data)
	if err != nil {
		return c, err
	}
	if err := margo.CheckAppliedTypes(c.ProfileTypes); err != nil {
		return DeviceCustom{}, reason.New(reason.Malformed, "custom: profileTypes: %w", err)
	}
	if len(c.ProfileTypes) == 0 {
		c.ProfileTypes = nil // a device that applies nothing is not enrolled
	}
	return c, nil
}

func parseCustom[T any](data []byte) (T, error) {
	var read, none T
	if len(data) == 0 {
		return none, nil
	}
	if err := strictjson.Unmarshal(data, &read, customLimits); err != nil {
		return none, fmt.Errorf("custom: %w", err)
	}
	return read, nil
}

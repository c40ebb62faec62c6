package channel

import (
	"net/url"
	"strings"

	"github.com/consign-dev/consign/internal/tufclient"
)

// Media types of a channel. They never change their meaning.
const (
	// MediaTypeChannel is the artifactType of a channel manifest.
	MediaTypeChannel = "application/vnd.consign.channel.v1+json"
	// MediaTypeMetadata is a layer holding one TUF metadata file.
	MediaTypeMetadata = "application/vnd.consign.tuf.v1+json"
)

// Tag names the current channel manifest of a repository.
const Tag = "tuf"

// Kinds of channel.
const (
	KindReleases    = tufclient.KindReleases
	KindDeployments = tufclient.KindDeployments
)

// PolicyTarget is the target of the operator's policy in a deployment channel.
const PolicyTarget = "policy"

const devicePrefix = "devices/"

// ReleaseTarget names the target of a bundle in a release channel.
func ReleaseTarget(app, version string) string { return app + "/" + version }

// DeviceTarget names the target of a device's desired state in a deployment
// channel. Bytes of a device id that a path segment cannot hold are
// percent-encoded, a "/" as %2F: TUF matches delegated paths segment by segment.
func DeviceTarget(id string) string { return devicePrefix + url.PathEscape(id) }

// DeviceOf is the inverse of [DeviceTarget]; ok is false for a name that it
// does not make.
func DeviceOf(target string) (id string, ok bool) {
	escaped, ok := strings.CutPrefix(target, devicePrefix)
	id, err := url.PathUnescape(escaped)
	return id, ok && err == nil && id != "" && DeviceTarget(id) == target
}

// Package helmcli holds what we publish against the helm command line, unchanged
// and from its own source: it installs our charts from a registry, and what it has
// pushed is a component of ours.
package helmcli

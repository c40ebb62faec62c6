package channel

import (
	"path"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
)

// AppRepository is the repository of an application: the sibling of its
// release channel's, named by the application id
// ("registry/acme/releases" and "line-monitor" give "registry/acme/line-monitor").
// No document names it, so no document can lead a reader elsewhere.
func AppRepository(channel, application string) (string, error) {
	parent, name := path.Split(channel)
	if parent == "" || name == "" {
		return "", reason.New(reason.Malformed, "channel %q is not a repository of the form host[:port]/path", channel)
	}
	if name == application {
		return "", reason.New(reason.Malformed, "application id %q is the name of the channel's own repository %s; use a channel with another name", application, channel)
	}
	if application == "" || strings.Trim(application, "-") != application {
		return "", reason.New(reason.Malformed, "application id %q cannot name a repository: it must not begin or end with '-'", application)
	}
	return parent + application, nil
}

// ComponentRepository is the repository where plain Helm and Margo clients
// find a component of the application whose repository is app.
func ComponentRepository(app, component string) (string, error) {
	if component == "" || strings.Trim(component, "-") != component {
		return "", reason.New(reason.Malformed, "component name %q cannot name a repository: it must not begin or end with '-'", component)
	}
	return app + "/" + component, nil
}

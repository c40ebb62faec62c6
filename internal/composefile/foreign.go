package composefile

import (
	"maps"
	"slices"

	"github.com/consign-dev/consign/internal/reason"
)

// refusal says why a key of the Compose file cannot be in a bundle.
type refusal struct {
	code reason.Code
	why  string
}

// Keys that would bring in something from outside the archive. They are
// refused before compose-go sees the tree, since for some it would go and
// fetch the thing. The rest of what an application may not do is the policy's
// business.
var foreignTop = map[string]refusal{
	"include": {reason.Render, "other Compose files are not read; copy what is needed into " + ComposeFile},
	"jobs":    {reason.Render, "jobs are not supported; use a service that exits"},
	"models":  {reason.Grant, "models are fetched from outside the bundle"},
}

var foreignService = map[string]refusal{
	"build":           {reason.Render, "nothing is built on a device; build the image first and name it with 'image'"},
	"credential_spec": {reason.Grant, "credentials would be read from the device"},
	"develop":         {reason.Render, "it is for development machines"},
	"label_file":      {reason.Render, "label files are not read; write the labels under 'labels'"},
	"models":          {reason.Grant, "models are fetched from outside the bundle"},
	"pre_start":       {reason.Grant, "lifecycle hooks are not granted"},
	"provider":        {reason.Grant, "it would run a program of the device"},
}

func refuseForeign(tree map[string]any) error {
	if err := refuseKeys("", tree, foreignTop); err != nil {
		return err
	}
	services, ok := tree["services"].(map[string]any)
	if !ok || len(services) == 0 {
		return reason.New(reason.Malformed, "%s: services: must be a mapping with at least one service", ComposeFile)
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		service, ok := services[name].(map[string]any)
		if !ok {
			return reason.New(reason.Malformed, "%s: services.%s: must be a mapping", ComposeFile, name)
		}
		if err := refuseKeys("services."+name+".", service, foreignService); err != nil {
			return err
		}
		if err := refuseExtends(name, service["extends"]); err != nil {
			return err
		}
	}
	return nil
}

func refuseKeys(prefix string, tree map[string]any, refused map[string]refusal) error {
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		if r, ok := refused[key]; ok {
			return reason.New(r.code, "%s: %s%s: %s", ComposeFile, prefix, key, r.why)
		}
	}
	return nil
}

// refuseExtends allows a service to extend another one of the same file.
func refuseExtends(service string, extends any) error {
	switch v := extends.(type) {
	case nil, string:
		return nil
	case map[string]any:
		if _, file := v["file"]; !file {
			return nil
		}
	}
	return reason.New(reason.Render, "%s: services.%s.extends: only a service of the same file can be extended", ComposeFile, service)
}

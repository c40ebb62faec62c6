package plan

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/verify"
)

// Change is an object of a component that an order adds, removes or changes.
type Change struct {
	Component string `json:"component"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	// How is added, removed or changed.
	How string `json:"how"`
	// Fields are the places that differ, such as environment.GREETING. What stands
	// there is not told: it may be a value that few may know.
	Fields []string `json:"fields"`
}

// The values of Change.How and ImageChange.How.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// configsLabel is written by the applier: a digest of the configs, which are
// listed themselves.
const configsLabel = "labels.dev.consign.configs"

// kept are the places of a service that Compose changes without a new container.
var kept = []string{"scale", "depends_on", "profiles", "deploy.replicas", "pull_policy"}

// comparison is what there is between two renders.
type comparison struct {
	changes []Change
	// replaced are the containers that are stopped and made anew, as
	// component/service.
	replaced []string
}

func compare(before, after []verify.Render) (comparison, error) {
	var c comparison
	old, order, err := byComponent(before, nil)
	if err != nil {
		return c, err
	}
	now, order, err := byComponent(after, order)
	if err != nil {
		return c, err
	}
	for _, component := range order {
		for _, k := range kinds {
			c.section(component, k.kind, old[component].section(k.section), now[component].section(k.section))
		}
		c.replace(component, old[component], now[component])
		c.section(component, "object", old[component].section(chartSection), now[component].section(chartSection))
		c.replacePods(component, old[component].section(chartSection), now[component].section(chartSection))
	}
	return c, nil
}

func byComponent(renders []verify.Render, order []string) (map[string]project, []string, error) {
	out := map[string]project{}
	for _, r := range renders {
		p, err := readProject(r)
		if err != nil {
			return nil, nil, err
		}
		out[r.Component] = p
		if !slices.Contains(order, r.Component) {
			order = append(order, r.Component)
		}
	}
	return out, order, nil
}

func (c *comparison) section(component, kind string, old, now map[string]any) {
	for _, name := range names(old, now) {
		before, had := old[name]
		after, has := now[name]
		change := Change{Component: component, Kind: kind, Name: name, How: Changed, Fields: []string{}}
		switch {
		case !had:
			change.How = Added
		case !has:
			change.How = Removed
		default:
			for _, at := range differences("", before, after) {
				if at != configsLabel {
					change.Fields = append(change.Fields, at)
				}
			}
			if len(change.Fields) == 0 {
				continue
			}
		}
		c.changes = append(c.changes, change)
	}
}

// replace finds the services whose containers do not stay: their own definition
// differs, or that of a network which they are on or of a secret which they get.
func (c *comparison) replace(component string, old, now project) {
	for _, name := range names(old.section("services"), now.section("services")) {
		before, had := old.section("services")[name]
		after, has := now.section("services")[name]
		if had && has && (renewed(differences("", before, after)) || usesChanged(after, old, now)) {
			c.replaced = append(c.replaced, component+"/"+name)
		}
	}
}

func renewed(fields []string) bool {
	return slices.ContainsFunc(fields, func(at string) bool {
		return !slices.ContainsFunc(kept, func(k string) bool { return at == k || strings.HasPrefix(at, k+".") || strings.HasPrefix(at, k+"[") })
	})
}

func usesChanged(service any, old, now project) bool {
	s, _ := service.(map[string]any)
	networks, _ := s["networks"].(map[string]any)
	for name := range networks {
		if changed(name, old.section("networks"), now.section("networks")) {
			return true
		}
	}
	secrets, _ := s["secrets"].([]any)
	return slices.ContainsFunc(secrets, func(use any) bool {
		u, _ := use.(map[string]any)
		name, _ := u["source"].(string)
		return changed(name, old.section("secrets"), now.section("secrets"))
	})
}

func changed(name string, old, now map[string]any) bool {
	before, had := old[name]
	return had && !reflect.DeepEqual(before, now[name])
}

// differences lists the deepest places at which two trees differ.
func differences(at string, old, now any) []string {
	if before, ok := old.(map[string]any); ok {
		if after, ok := now.(map[string]any); ok {
			var out []string
			for _, name := range names(before, after) {
				out = append(out, differences(strings.TrimPrefix(at+"."+name, "."), before[name], after[name])...)
			}
			return out
		}
	}
	if before, ok := old.([]any); ok {
		if after, ok := now.([]any); ok && len(before) == len(after) {
			var out []string
			for i := range before {
				out = append(out, differences(at+"["+strconv.Itoa(i)+"]", before[i], after[i])...)
			}
			return out
		}
	}
	if reflect.DeepEqual(old, now) {
		return nil
	}
	return []string{at}
}

func names(old, now map[string]any) []string {
	all := maps.Clone(now)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, old)
	return slices.Sorted(maps.Keys(all))
}

package policy

import (
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Rights at the API server, as grants spell them: "get,list pods",
// "update deployments.apps/scale", "get secrets[RELEASE-cert]". A grant covers the
// verbs that it names of the one resource, and with a name the one object.

var (
	roleTable        = rightsTable(false)
	clusterRoleTable = rightsTable(true)
)

func rightsTable(everywhere bool) grantTable[RoleGrants] {
	return grantTable[RoleGrants]{"rules": {
		list:   func(r *RoleGrants) *[]string { return &r.Rules },
		fault:  func(value string) string { return rightsFault(value, everywhere) },
		covers: rightCovers,
		joined: rightJoined,
	}}
}

// tableOfRole is that of Role/name or ClusterRole/name.
func tableOfRole(key string) grantTable[RoleGrants] {
	if isClusterRole(key) {
		return clusterRoleTable
	}
	return roleTable
}

func isClusterRole(key string) bool { return strings.HasPrefix(key, "ClusterRole/") }

// right is one granted or wanted entry, taken apart.
type right struct {
	verbs    []string
	resource string // with group, subresource and name, as written; or a path
	plural   string
	group    string
	sub      string
	name     string
}

var rightPattern = lazyregexp.New(`^([a-z]{1,32}(?:,[a-z]{1,32}){0,15}) ([a-z0-9]{1,63})((?:\.[a-z0-9-]{1,63}){0,10})(/[a-z0-9-]{1,63})?(\[[A-Za-z0-9.:-]{1,253}\])?$`)

var pathPattern = lazyregexp.New(`^([a-z]{1,32}(?:,[a-z]{1,32}){0,15}) (/[A-Za-z0-9._/-]{0,253})$`)

func parseRight(value string) (right, bool) {
	if found := pathPattern.FindStringSubmatch(value); found != nil {
		return right{verbs: strings.Split(found[1], ","), resource: found[2]}, true
	}
	found := rightPattern.FindStringSubmatch(value)
	if found == nil || len(value) > maxGrantBytes {
		return right{}, false
	}
	return right{
		verbs: strings.Split(found[1], ","), resource: strings.Join(found[2:], ""), plural: found[2],
		group: strings.TrimPrefix(found[3], "."), sub: strings.TrimPrefix(found[4], "/"), name: strings.Trim(found[5], "[]"),
	}, true
}

// Verbs by what they do.
var (
	reading = []string{"get", "list", "watch"}
	// With these, whoever has a right hands it on, or acts as somebody else.
	beyondRules = []string{"escalate", "bind", "impersonate"}
)

// reviews ask the API server who somebody is or what it may do.
var reviews = []string{"tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io", "localsubjectaccessreviews.authorization.k8s.io",
	"selfsubjectaccessreviews.authorization.k8s.io", "selfsubjectrulesreviews.authorization.k8s.io", "selfsubjectreviews.authentication.k8s.io"}

// rightsFault says why a right cannot be granted, in one namespace or in all.
func rightsFault(value string, everywhere bool) string {
	r, ok := parseRight(value)
	if !ok {
		return "only verbs and one resource, such as \"get,list pods\" or \"get secrets[NAME]\"; never *"
	}
	for _, verb := range r.verbs {
		if slices.Contains(beyondRules, verb) {
			return "with " + verb + " somebody else's rights can be had"
		}
	}
	secret := r.plural == "secrets" && r.group == ""
	readsOnly := !slices.ContainsFunc(r.verbs, func(v string) bool { return !slices.Contains(reading, v) })
	switch {
	case strings.HasPrefix(r.resource, "/"):
		if !everywhere || !slices.Equal(r.verbs, []string{"get"}) {
			return "a path can only be read, and only in a ClusterRole"
		}
	case secret && everywhere:
		return "in every namespace it would be the secrets of others; a Role can have some by name"
	case secret && r.name == "":
		return "secrets are granted by name, such as secrets[NAME]"
	case r.plural == "nodes" && r.group == "" && r.sub != "":
		return "through it a node can be commanded"
	case r.group == "certificates.k8s.io":
		return "through it anybody's certificate can be had"
	case everywhere && !readsOnly && !writableEverywhere(r):
		return "cluster-wide, only custom kinds may be written: with workloads or rights in every namespace the cluster can be had"
	case everywhere && r.sub != "" && r.sub != "status" && r.sub != "scale" && r.sub != "log" && !custom(r.group):
		return "cluster-wide it reaches into the pods of others"
	}
	return ""
}

func writableEverywhere(r right) bool {
	onlyMade := !slices.ContainsFunc(r.verbs, func(v string) bool { return v != "create" && v != "patch" })
	switch kind := strings.Trim(r.plural+"."+r.group, "."); {
	case custom(r.group):
		return true
	case kind == "events" || kind == "events.events.k8s.io":
		return onlyMade && r.sub == ""
	default:
		return slices.Contains(reviews, kind) && slices.Equal(r.verbs, []string{"create"}) && r.sub == ""
	}
}

// custom reports whether a group can be that of custom kinds.
func custom(group string) bool { return customFault("X."+group) == "" }

func rightCovers(granted, value string) bool {
	have, ok := parseRight(granted)
	want, fine := parseRight(value)
	if !ok || !fine || have.resource != want.resource {
		return false
	}
	return !slices.ContainsFunc(want.verbs, func(v string) bool { return !slices.Contains(have.verbs, v) })
}

// rightJoined puts the verb of a value to the entry of the same resource.
func rightJoined(list []string, value string) []string {
	want, _ := parseRight(value)
	for i, old := range list {
		have, ok := parseRight(old)
		if ok && have.resource == want.resource {
			verbs := append(slices.Clone(have.verbs), want.verbs...)
			slices.Sort(verbs)
			list[i] = strings.Join(slices.Compact(verbs), ",") + " " + want.resource
			return list
		}
	}
	return append(list, value)
}

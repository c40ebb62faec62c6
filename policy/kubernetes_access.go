package policy

import (
	"fmt"
	"strings"
)

// Rights at the API server: a role lists what the grants name, and is bound to
// service accounts of the same chart only (attack H5).

// maxRights bounds what one rule of a role multiplies to.
const maxRights = 1024

var kubeRights = listOf(also(members(keysOf{
	"verbs":           granted("rules", listOf(text)),
	"apiGroups":       granted("rules", listOf(text)),
	"resources":       granted("rules", listOf(text)),
	"resourceNames":   granted("rules", listOf(text)),
	"nonResourceURLs": granted("rules", listOf(text)),
}, "verbs"), wantRights))

// wantRights asks for each verb on each resource.
func wantRights(w *walk, at place, rule map[string]any) {
	verbs, groups, resources := texts(rule["verbs"]), texts(rule["apiGroups"]), texts(rule["resources"])
	names, paths := texts(rule["resourceNames"]), texts(rule["nonResourceURLs"])
	if n := len(verbs) * (len(groups)*len(resources)*max(len(names), 1) + len(paths)); n > maxRights {
		w.ask(at, fmt.Sprintf("must be at most %d rights", maxRights), count(int64(n)))
		return
	}
	for _, verb := range verbs {
		for _, path := range paths {
			w.want(at, "rules", verb+" "+path)
		}
		for _, group := range groups {
			for _, resource := range resources {
				w.rights(at, verb, resourceText(resource, group), names)
			}
		}
	}
}

func (w *walk) rights(at place, verb, resource string, names []string) {
	if len(names) == 0 {
		w.want(at, "rules", verb+" "+resource)
	}
	for _, name := range names {
		w.want(at, "rules", verb+" "+resource+"["+w.spelt(name)+"]")
	}
}

// resourceText spells a resource and its group as grants do: a subresource comes
// after the group.
func resourceText(resource, group string) string {
	plural, sub, has := strings.Cut(resource, "/")
	if group != "" {
		plural += "." + group
	}
	if has {
		plural += "/" + sub
	}
	return plural
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// kubeSubjects are accounts of the chart: whoever else is bound would get the
// rights, too.
var kubeSubjects = listOf(members(keysOf{
	"kind":      harmless(oneOf("ServiceAccount")),
	"name":      harmless(rule{check: ownAccount}),
	"namespace": harmless(ownNamespace),
	"apiGroup":  harmless(oneOf("")),
}, "kind", "name", "namespace"))

func ownAccount(w *walk, at place, v any) {
	if !w.has("ServiceAccount", textOf(v)) {
		w.ask(at, "must be a ServiceAccount of the same chart", show(v))
	}
}

// roleRef names a role of the chart: what any other allows is not in the render.
func roleRef(kinds ...string) rule {
	return also(members(keysOf{
		"apiGroup": harmless(oneOf(rbacGroup)),
		"kind":     harmless(oneOf(kinds...)),
		"name":     harmless(text),
	}, "apiGroup", "kind", "name"), func(w *walk, at place, ref map[string]any) {
		if !w.has(textOf(ref["kind"]), textOf(ref["name"])) {
			w.ask(at.key("name"), "must be a role of the same chart", show(ref["name"]))
		}
	})
}

const rbacGroup = "rbac.authorization.k8s.io"

var kubeAccount = keysOf{
	"automountServiceAccountToken": harmless(flag),
	"imagePullSecrets":             granted("references", pullSecrets),
	"secrets":                      never("tokens are given to pods, not kept"),
}

package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
)

const (
	serversOwn  = "the API server's own"
	othersOwn   = "it ties the object to others, which could hold or delete it"
	noHelmRules = "objects are made and removed with the release, by the agent alone"
)

// metaKeys are the fields of ObjectMeta but name and namespace.
var metaKeys = keysOf{
	"labels":      granted("labels", kubeLabels),
	"annotations": granted("annotations", kubeAnnotations),

	"generateName":               never("a name is known before"),
	"ownerReferences":            never(othersOwn),
	"finalizers":                 never("they keep an object from being removed"),
	"managedFields":              never(serversOwn),
	"selfLink":                   never(serversOwn),
	"uid":                        never(serversOwn),
	"resourceVersion":            never(serversOwn),
	"generation":                 never(serversOwn),
	"creationTimestamp":          never(serversOwn),
	"deletionTimestamp":          never(serversOwn),
	"deletionGracePeriodSeconds": never(serversOwn),
}

func metaWith(more keysOf, required ...string) rule {
	keys := maps.Clone(metaKeys)
	maps.Copy(keys, more)
	return members(keys, required...)
}

var (
	namespacedMeta = also(metaWith(keysOf{"name": harmless(kubeName), "namespace": harmless(ownNamespace)}, "name", "namespace", "labels"), ofDeployment)
	// Names of the whole cluster begin with the release's, so that they are no
	// other application's (attack C8).
	clusterMeta = also(metaWith(keysOf{"name": harmless(releaseOwn), "namespace": never("the object is the whole cluster's")}, "name", "labels"), ofDeployment)
	// A template's name and namespace are those of its maker.
	templateMeta = also(metaWith(keysOf{"name": harmless(kubeName), "namespace": harmless(ownNamespace)}, "labels"), ofDeployment)
	claimMeta    = metaWith(keysOf{"name": harmless(kubeName), "namespace": harmless(ownNamespace)})
)

// kubeName is a DNS subdomain (RFC 1123), which is a name for every kind.
var kubeName = called(dnsName, "a DNS name in lower case")

var labelName = called(dnsLabel, "a DNS label in lower case")

func called(is func(string) bool, want string) rule {
	return accept("must be "+want, func(v any) bool { s, ok := v.(string); return ok && is(s) })
}

var ownNamespace = rule{check: func(w *walk, at place, v any) {
	if s, ok := v.(string); !ok || s != w.chart.namespace {
		w.ask(at, "must be the deployment's namespace", show(v))
	}
}}

var releaseOwn = rule{check: func(w *walk, at place, v any) {
	s, ok := v.(string)
	if !ok || !strings.HasPrefix(w.spelt(s), releaseWord) || !plainObject(s) {
		w.ask(at, "must be the release's name, or begin with it and -, so that it is no other application's", show(v))
	}
}}

// ofDeployment demands the label by which what is ours is told from what is
// somebody else's (attack H14), with one value in the whole render.
func ofDeployment(w *walk, at place, meta map[string]any) {
	labels := sub(meta, "labels")
	value, ok := labels[task.LabelDeployment].(string)
	at = at.key("labels").key(task.LabelDeployment)
	switch {
	case labels == nil:
	case !ok || value == "":
		w.ask(at, "is missing", "")
	case w.chart.deployment == "":
		w.chart.deployment = value
	case w.chart.deployment != value:
		w.ask(at, "must be the same on all objects", show(value))
	}
}

// Labels and annotations of these names are for people and charts.
var plainLabels = []string{"app.kubernetes.io/", "helm.sh/chart"}

// kubeLabels accepts labels that select pods of the deployment. Those of
// Kubernetes' own domains are orders to it: such a label adds a role to the
// cluster's administrators, or exempts from admission. Those of other domains may
// be orders to a controller, and need a grant.
var kubeLabels = rule{parts: []part{{".*", harmless(text)}}, check: func(w *walk, at place, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		w.ask(at, "must be an object", "")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value, ok := object[name].(string)
		switch {
		case !qualifiedName(name, false) || !ok || !labelValue(value):
			w.ask(at.entry(name), "must be a label and its value, text of at most 63 bytes", show(object[name]))
		case strings.HasPrefix(name, "dev.consign.") && name != task.LabelDeployment:
			w.ask(at.entry(name), "labels of dev.consign are the agent's own", "")
		case ofKubernetes(name) && !begins(name, plainLabels):
			w.ask(at.entry(name), "never granted: labels of kubernetes.io and k8s.io are orders to the cluster", "")
		case strings.Contains(name, "/") && !ofKubernetes(name):
			w.wantFor(owner{section: sectionChart}, at.entry(name), "labels", name+"="+value)
		}
	}
}}

// ofKubernetes reports whether the domain of a name is Kubernetes' or Helm's own.
func ofKubernetes(name string) bool {
	domain, _, _ := strings.Cut(name, "/")
	for _, own := range []string{"kubernetes.io", "k8s.io", "helm.sh"} {
		if domain == own || strings.HasSuffix(domain, "."+own) {
			return domain != name
		}
	}
	return false
}

func begins(name string, with []string) bool {
	return slices.ContainsFunc(with, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Annotations that nothing in a cluster takes for an order.
var plainAnnotations = []string{"app.kubernetes.io/", "checksum/", "prometheus.io/", "kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/restartedAt"}

// profileAnnotations are the old form of seccomp and AppArmor profiles, with the
// values that the Pod Security Standards allow.
var profileAnnotations = map[string]*lazyregexp.Regexp{
	"container.apparmor.security.beta.kubernetes.io/": lazyregexp.New(`^(runtime/default|localhost/.*)?$`),
	"container.seccomp.security.alpha.kubernetes.io/": lazyregexp.New(`^(runtime/default|docker/default|localhost/.*)$`),
	"seccomp.security.alpha.kubernetes.io/pod":        lazyregexp.New(`^(runtime/default|docker/default|localhost/.*)$`),
}

// kubeAnnotations accepts what is plainly for people. Every other one may be an
// order to a controller or to the runtime, such as a snippet for a proxy's
// configuration or a device, and needs a grant.
var kubeAnnotations = rule{parts: []part{{".*", granted("annotations", text)}}, check: func(w *walk, at place, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		w.ask(at, "must be an object", "")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		w.annotation(at.entry(name), name, object[name])
	}
}}

func (w *walk) annotation(at place, name string, v any) {
	value, ok := v.(string)
	switch {
	case !ok || !qualifiedName(name, true):
		w.ask(at, "must be an annotation and its value, text", show(v))
	case name == task.AnnotationComponent || name == task.AnnotationDevice || name == task.LabelDeployment:
	case strings.HasPrefix(name, "dev.consign."):
		w.ask(at, "annotations of dev.consign are the agent's own", "")
	case strings.HasPrefix(name, "helm.sh/") || strings.HasPrefix(name, "meta.helm.sh/"):
		w.ask(at, "never granted: "+noHelmRules+"; hooks do not run", "")
	case name == "kubectl.kubernetes.io/last-applied-configuration":
		w.ask(at, "never granted: it decides what an update deletes", "")
	case profile(name) != nil:
		if !profile(name).MatchString(value) {
			w.wantFor(owner{section: sectionChart}, at, "annotations", name+"="+value)
		}
	case begins(name, plainAnnotations) || !strings.ContainsAny(name, "./"):
	default:
		w.wantFor(owner{section: sectionChart}, at, "annotations", name+"="+value)
	}
}

func profile(name string) *lazyregexp.Regexp {
	for prefix, values := range profileAnnotations {
		if strings.HasPrefix(name, prefix) {
			return values
		}
	}
	return nil
}

// labelSelector chooses among objects of the namespace.
var labelSelector = members(keysOf{
	"matchLabels":      harmless(mapOf(text)),
	"matchExpressions": harmless(listOf(selectorTerm)),
})

var selectorTerm = members(keysOf{
	"key":      harmless(text),
	"operator": harmless(text),
	"values":   harmless(listOf(text)),
}, "key", "operator")

// named reports an object of the render, or one that the grants name, by what
// refers to it. The namespace is the deployment's, but each of its components has
// secrets of its own.
func reference(kind string, given ...string) rule {
	return rule{check: func(w *walk, at place, v any) {
		name, ok := v.(string)
		switch {
		case !ok || !plainObject(name):
			w.ask(at, "must be the name of a "+kind, show(v))
		case w.has(kind, name) || slices.Contains(given, name):
		default:
			w.wantFor(owner{section: sectionChart}, at, "references", fmt.Sprintf("%s/%s", kind, w.spelt(name)))
		}
	}}
}

var (
	configMapName = reference("ConfigMap", "kube-root-ca.crt") // which every namespace has
	secretName    = reference("Secret")
	claimName     = reference("PersistentVolumeClaim")
	accountName   = reference("ServiceAccount", "default")

	pullSecrets = listOf(members(keysOf{"name": harmless(secretName)}, "name"))
)

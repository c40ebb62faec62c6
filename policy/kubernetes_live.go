package policy

import (
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// CheckKubernetesLive decides whether the objects of a release, as the cluster has
// them, stay within the grants: objects can be made or changed by hand after the
// render was checked. They are judged by the rules of a render, once what only the
// API server and its controllers write is taken away; a pod has the grants of the
// object that it was made for. render is what was applied, which says what the
// objects may refer to.
//
// What is not granted is refused with reason grant, by an [Excess]. That the objects
// are the ones that were applied is not its question.
func (g Grants) CheckKubernetesLive(render []byte, live []task.LiveObject) error {
	w, err := g.knowing(render)
	if err != nil {
		return err
	}
	if len(live) > maxObjects*2 {
		return reason.New(reason.Grant, "what runs is not granted: %d objects, at most %d", len(live), maxObjects*2)
	}
	objects, err := liveTrees(live)
	if err != nil {
		return err
	}
	for i, tree := range objects {
		w.liveObject(place{}.key("live").index(i), live[i].Owner, tree)
	}
	return w.refusal("what runs is not granted: ")
}

// KubernetesRendered picks the live objects that a render has, and those that name an
// owner. What is left out stands beside the render, by itself.
func (g Grants) KubernetesRendered(render []byte, live []task.LiveObject) ([]task.LiveObject, error) {
	w, err := g.knowing(render)
	if err != nil {
		return nil, err
	}
	objects, err := liveTrees(live)
	if err != nil {
		return nil, err
	}
	var out []task.LiveObject
	for i, tree := range objects {
		_, rendered := w.chart.objects[identity(tree)]
		if rendered || live[i].Owner != "" || len(listIn(sub(tree, "metadata"), "ownerReferences")) > 0 {
			out = append(out, live[i])
		}
	}
	return out, nil
}

// knowing is a walk that has seen a render and judged nothing.
func (g Grants) knowing(render []byte) (*walk, error) {
	doc, objects, err := readRender(render)
	if err != nil {
		return nil, err
	}
	w := g.chartWalk(doc)
	for _, o := range objects {
		w.chart.objects[identity(o)] = o
	}
	w.chart.deployment, err = deploymentOf(objects)
	return w, err
}

func (w *walk) liveObject(at place, madeFor string, o map[string]any) {
	kind, _ := o["kind"].(string)
	w.unserve(kind, o)
	known, ok := kubernetesKinds[kind]
	apiVersion, _ := o["apiVersion"].(string)
	ownerKind, ownerName, made := strings.Cut(madeFor, "/")
	maker := kubernetesKinds[ownerKind]
	if !ok || !made || maker.section != sectionWorkloads || !slices.Contains(known.versions, apiVersion) {
		w.object(at, o)
		return
	}
	at = w.objectPlace(at, kind, groupOf(apiVersion), objectNameOf(o))
	if ownerKind == "StatefulSet" {
		w.enterClaims(ownerName, objectNameOf(o))
	}
	w.owner = maker.owner(w.spelt(ownerName))
	known.rule.check(w, at, o)
	w.owner = owner{}
}

// enterClaims makes known the claims that the StatefulSet controller makes for a pod.
func (w *walk) enterClaims(set, pod string) {
	for _, template := range each(sub(w.chart.objects["StatefulSet/"+set], "spec"), "volumeClaimTemplates") {
		if name := objectNameOf(template); name != "" {
			w.chart.objects["PersistentVolumeClaim/"+name+"-"+pod] = template
		}
	}
}

// unserve takes away from a live object what the API server and its controllers
// wrote into it. Nothing of that can be asked for by an application.
func (w *walk) unserve(kind string, o map[string]any) {
	delete(o, "status")
	unserveMeta(sub(o, "metadata"))
	// The agent's own, put on when a render is applied.
	delete(sub(o, "spec", "template", "metadata", "annotations"), task.AnnotationSecrets)
	rendered := w.chart.objects[kind+"/"+objectNameOf(o)]
	spec := sub(o, "spec")
	switch kind {
	case "Service":
		unserveService(spec, sub(rendered, "spec"))
	case "PersistentVolumeClaim":
		keep(spec, sub(rendered, "spec"), "volumeName")
	case "StatefulSet":
		for _, template := range each(spec, "volumeClaimTemplates") {
			delete(template, "status")
			unserveMeta(sub(template, "metadata"))
		}
	case "Job":
		keep(spec, sub(rendered, "spec"), "selector")
		unserveMeta(sub(spec, "template", "metadata"))
	case "Pod":
		unservePod(spec, sub(rendered, "spec"))
	}
}

// keep takes a field away unless it was rendered.
func keep(spec, rendered map[string]any, field string) {
	if _, ok := rendered[field]; !ok {
		delete(spec, field)
	}
}

// What controllers write into metadata.
var (
	serversMeta = []string{
		"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "ownerReferences", "finalizers", "generateName",
		"deletionTimestamp", "deletionGracePeriodSeconds",
	}
	serversLabels = []string{
		"pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid", "job-name",
		"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "batch.kubernetes.io/",
	}
	serversAnnotations = slices.Concat(task.ControllersAnnotations, []string{
		"meta.helm.sh/", "helm.sh/resource-policy", task.AnnotationSecrets, "kubectl.kubernetes.io/", "cni.projectcalico.org/", "k8s.v1.cni.cncf.io/network-status",
	})
)

func unserveMeta(meta map[string]any) {
	for _, field := range serversMeta {
		delete(meta, field)
	}
	without(sub(meta, "labels"), serversLabels)
	without(sub(meta, "annotations"), serversAnnotations)
}

func without(m map[string]any, prefixes []string) {
	for key := range m {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			delete(m, key)
		}
	}
}

// unserveService takes away the addresses and ports that the cluster chose.
func unserveService(spec, rendered map[string]any) {
	for _, field := range []string{"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"} {
		keep(spec, rendered, field)
	}
	if spec["type"] != rendered["type"] {
		return // somebody opened it: which port is part of what is said about that
	}
	ports, given := each(spec, "ports"), each(rendered, "ports")
	for i, port := range ports {
		if i < len(given) {
			keep(port, given[i], "nodePort")
		}
	}
}

// unservePod takes away where a pod runs, the account token that every pod gets and
// the tolerations that every pod has.
func unservePod(spec, rendered map[string]any) {
	for _, field := range []string{"nodeName", "priority"} {
		keep(spec, rendered, field)
	}
	spec["tolerations"] = slices.DeleteFunc(listIn(spec, "tolerations"), func(v any) bool {
		t, _ := v.(map[string]any)
		key, _ := t["key"].(string)
		return strings.HasPrefix(key, "node.kubernetes.io/") && t["operator"] == "Exists"
	})
	spec["volumes"] = slices.DeleteFunc(listIn(spec, "volumes"), isTokenVolume)
	for _, list := range []string{"containers", "initContainers"} {
		for _, c := range each(spec, list) {
			if c == nil {
				continue
			}
			c["volumeMounts"] = slices.DeleteFunc(listIn(c, "volumeMounts"), func(v any) bool {
				m, _ := v.(map[string]any)
				return m["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount" && m["readOnly"] == true
			})
		}
	}
	unserveAffinity(spec)
}

// isTokenVolume recognises the volume that the API server gives every pod: a token
// for itself, its certificate and the name of the namespace. One of that name with
// anything else in it is judged as what it is.
func isTokenVolume(v any) bool {
	volume, _ := v.(map[string]any)
	name, _ := volume["name"].(string)
	sources := each(sub(volume, "projected"), "sources")
	if !strings.HasPrefix(name, "kube-api-access-") || len(volume) != 2 || len(sources) == 0 {
		return false
	}
	return !slices.ContainsFunc(sources, func(source map[string]any) bool { return len(source) != 1 || !isTokenSource(source) })
}

func isTokenSource(source map[string]any) bool {
	token, isToken := source["serviceAccountToken"].(map[string]any)
	_, audience := token["audience"]
	configMap, _ := sub(source, "configMap")["name"].(string)
	_, facts := source["downwardAPI"]
	return isToken && !audience || configMap == "kube-root-ca.crt" || configMap == "openshift-service-ca.crt" || facts
}

// unserveAffinity takes away the node that the DaemonSet controller writes.
func unserveAffinity(spec map[string]any) {
	node := sub(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
	for _, term := range each(node, "nodeSelectorTerms") {
		delete(term, "matchFields")
	}
}

func listIn(o map[string]any, name string) []any {
	list, _ := o[name].([]any)
	return list
}

// KubernetesLiveImages is [Grants.KubernetesImages] of objects as the cluster has
// them.
func (g Grants) KubernetesLiveImages(live []task.LiveObject) ([]string, error) {
	objects, err := liveTrees(live)
	return g.imagesOfAll(objects), err
}

func liveTrees(live []task.LiveObject) ([]map[string]any, error) {
	objects := make([]map[string]any, 0, len(live))
	for i, one := range live {
		tree, err := decodeTree(one.Object)
		if err != nil || tree == nil {
			return nil, reason.New(reason.Internal, "live object %d is not a JSON object", i)
		}
		objects = append(objects, tree)
	}
	return objects, nil
}

// PodSecurityLevel is the level of the Pod Security Standards that the namespace of
// a render can be held to: restricted where the grants demand it, baseline where the
// render needs no more, else privileged. render passed [Grants.CheckKubernetes].
func (g Grants) PodSecurityLevel(render []byte) string {
	plain := Grants{Limits: g.Limits}
	plain.Kubernetes.CustomKinds = g.Kubernetes.CustomKinds
	switch {
	case g.Kubernetes.PodSecurity == Restricted:
		return Restricted
	case plain.CheckKubernetes(render) == nil:
		return Baseline
	default:
		return privileged
	}
}

// privileged is the level of the Pod Security Standards that demands nothing.
const privileged = "privileged"

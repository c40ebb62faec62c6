package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Amounts of resources (Kubernetes, API conventions, Quantity): a decimal number
// with a unit. Exponents, signs and the units n and u, which nobody needs, are
// refused: they have several readings.
var quantityPattern = lazyregexp.New(`^([0-9]{1,18}(?:\.[0-9]{1,9})?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$`)

var quantityUnits = map[string]*big.Rat{
	"": big.NewRat(1, 1), "m": big.NewRat(1, 1000), "k": power(1000, 1), "M": power(1000, 2), "G": power(1000, 3), "T": power(1000, 4), "P": power(1000, 5),
	"E": power(1000, 6), "Ki": power(1024, 1), "Mi": power(1024, 2), "Gi": power(1024, 3), "Ti": power(1024, 4), "Pi": power(1024, 5), "Ei": power(1024, 6),
}

func power(base, n int64) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(base), big.NewInt(n), nil))
}

func quantity(v any) (*big.Rat, bool) {
	s, ok := v.(string)
	if n, isNumber := v.(json.Number); isNumber {
		s, ok = n.String(), true
	}
	found := quantityPattern.FindStringSubmatch(s)
	if !ok || found == nil {
		return nil, false
	}
	n, ok := new(big.Rat).SetString(found[1])
	if !ok {
		return nil, false
	}
	return n.Mul(n, quantityUnits[found[2]]), true
}

// amount accepts a quantity, whatever it is of.
var amount = accept("must be an amount such as 100m, 64Mi or 2G", func(v any) bool {
	_, ok := quantity(v)
	return ok
})

// bytesOf is a quantity of bytes, rounded up; beyond what can be counted, it is
// more than any machine has.
func bytesOf(v any) (int64, bool) { return scaled(v, 1) }

// scaled is a quantity times a factor, rounded up.
func scaled(v any, factor int64) (int64, bool) {
	q, ok := quantity(v)
	if !ok {
		return 0, false
	}
	q.Mul(q, big.NewRat(factor, 1))
	n := new(big.Int).Sub(new(big.Int).Add(q.Num(), q.Denom()), big.NewInt(1))
	n.Quo(n, q.Denom())
	if !n.IsInt64() || n.Int64() > maxLimit {
		return maxLimit + 1, true
	}
	return n.Int64(), true
}

// kubeResources holds a container back (attack C13): processors and memory always,
// its own files where the policy has a ceiling for them.
var kubeResources = also(members(keysOf{
	"limits":   granted("limits.cpus, limits.memory, limits.storage, extendedResources", kubeAmounts),
	"requests": granted("limits.cpus, limits.memory, limits.storage, extendedResources", kubeAmounts),
	"claims":   never("claims of devices are not supported; say an extended resource"),
}), func(w *walk, at place, resources map[string]any) {
	limits := sub(resources, "limits")
	demanded := []string{"cpu", "memory"}
	if w.ceilings.storage > 0 {
		demanded = append(demanded, "ephemeral-storage")
	}
	for _, name := range demanded {
		if n, ok := scaled(limits[name], 1000); limits[name] == nil || ok && n == 0 {
			w.ask(at.key("limits").key(name), "is missing", "")
		}
	}
})

var kubeAmounts = rule{
	parts: []part{{".*", granted("extendedResources", amount)}},
	check: func(w *walk, at place, v any) {
		object, ok := v.(map[string]any)
		if !ok {
			w.ask(at, "must be an object", "")
			return
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if object[name] != nil {
				w.amountOf(at, name, object[name])
			}
		}
	},
}

func (w *walk) amountOf(at place, name string, v any) {
	n, ok := bytesOf(v)
	switch {
	case !ok:
		amount.check(w, at.key(name), v)
	case name == "cpu":
		milli, _ := scaled(v, 1000)
		w.withinCPUs(at.key(name), float64(milli)/1000, show(v))
	case name == "memory":
		w.within(at.key(name), "memory", n, w.ceilings.memory, sizeText)
	case name == "ephemeral-storage":
		if w.ceilings.storage > 0 {
			w.within(at.key(name), "storage", n, w.ceilings.storage, sizeText)
		}
	default:
		w.want(at.entry(name), "extendedResources", name)
	}
}

// podSpecPath is where the pods of a kind are described.
var podSpecPath = map[string]string{
	"Pod": "spec", "Deployment": "spec.template.spec", "StatefulSet": "spec.template.spec", "DaemonSet": "spec.template.spec",
	"ReplicaSet": "spec.template.spec", "Job": "spec.template.spec", "CronJob": "spec.jobTemplate.spec.template.spec",
}

// growth bounds what all objects together take: containers with their replicas,
// and the volumes that are claimed.
func (w *walk) growth() {
	var containers, volumes int64
	for _, id := range slices.Sorted(maps.Keys(w.chart.objects)) {
		kind, name, _ := strings.Cut(id, "/")
		o := w.chart.objects[id]
		path := podSpecPath[kind]
		if kind == "PersistentVolumeClaim" {
			volumes = capped(volumes + claimed(o))
		}
		if path == "" {
			continue
		}
		spec := sub(o, strings.Split(path, ".")...)
		replicas := w.replicas(kind, name, o)
		containers += replicas * running(spec)
		volumes = capped(volumes + replicas*claimedBy(o, spec))
	}
	at := place{}.key("objects")
	w.within(at, "containers", containers, w.ceilings.containers, func(n int64) string { return fmt.Sprintf("%d containers", n) })
	w.within(at, "volumes", volumes, w.ceilings.volumes, func(n int64) string { return sizeText(n) + " of claims" })
}

// replicas is how many pods of a workload there can be: one for a DaemonSet, since a
// cluster of several nodes is refused, and for a workload that is scaled by itself
// the most.
func (w *walk) replicas(kind, name string, o map[string]any) int64 {
	n := int64(1)
	spec := sub(o, "spec")
	switch kind {
	case "Deployment", "StatefulSet", "ReplicaSet":
		n = orOne(spec["replicas"])
	case "Job":
		n = orOne(spec["parallelism"])
	case "CronJob":
		n = orOne(sub(spec, "jobTemplate", "spec")["parallelism"])
	}
	for id, other := range w.chart.objects {
		scaler := sub(other, "spec")
		target := sub(scaler, "scaleTargetRef")
		if strings.HasPrefix(id, "HorizontalPodAutoscaler/") && target["kind"] == kind && target["name"] == name {
			n = max(n, orOne(scaler["maxReplicas"]))
		}
	}
	return n
}

// orOne is a count of replicas, within what the tables accept.
func orOne(v any) int64 {
	n, ok := whole(v)
	if !ok {
		return 1
	}
	return min(max(n, 0), maxReplicas)
}

// running counts the containers of a pod that run side by side: an init container
// does if it is always restarted.
func running(spec map[string]any) int64 {
	n := int64(len(each(spec, "containers")))
	for _, c := range each(spec, "initContainers") {
		if c["restartPolicy"] == "Always" {
			n++
		}
	}
	return max(n, 1)
}

// capped keeps sums within an int64: beyond maxLimit is more than any machine has.
func capped(n int64) int64 { return min(n, maxLimit+1) }

func claimed(claim map[string]any) int64 {
	n, _ := bytesOf(sub(claim, "spec", "resources", "requests")["storage"])
	return n
}

// claimedBy is what each pod of a workload claims for itself.
func claimedBy(o, spec map[string]any) int64 {
	var n int64
	for _, template := range each(sub(o, "spec"), "volumeClaimTemplates") {
		n = capped(n + claimed(template))
	}
	for _, volume := range each(spec, "volumes") {
		n = capped(n + claimed(sub(volume, "ephemeral", "volumeClaimTemplate")))
	}
	return n
}

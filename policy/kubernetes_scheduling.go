package policy

// Where pods run. Choosing among nodes is harmless; being let onto one that keeps
// others away is not.

var kubeNodeTerm = members(keysOf{
	"matchExpressions": harmless(listOf(selectorTerm)),
	"matchFields":      harmless(listOf(selectorTerm)),
})

var kubePodTerm = members(keysOf{
	"labelSelector":     harmless(labelSelector),
	"topologyKey":       harmless(text),
	"namespaces":        harmless(listOf(ownNamespace)),
	"namespaceSelector": never("other namespaces are others'"),
	"matchLabelKeys":    harmless(listOf(text)),
	"mismatchLabelKeys": harmless(listOf(text)),
}, "topologyKey")

var weight = between(1, 100)

var kubePodAffinity = members(keysOf{
	"requiredDuringSchedulingIgnoredDuringExecution": harmless(listOf(kubePodTerm)),
	"preferredDuringSchedulingIgnoredDuringExecution": harmless(listOf(members(keysOf{
		"weight":          harmless(weight),
		"podAffinityTerm": harmless(kubePodTerm),
	}, "podAffinityTerm"))),
})

var kubeAffinity = members(keysOf{
	"nodeAffinity": harmless(members(keysOf{
		"requiredDuringSchedulingIgnoredDuringExecution": harmless(members(keysOf{"nodeSelectorTerms": harmless(listOf(kubeNodeTerm))}, "nodeSelectorTerms")),
		"preferredDuringSchedulingIgnoredDuringExecution": harmless(listOf(members(keysOf{
			"weight":     harmless(weight),
			"preference": harmless(kubeNodeTerm),
		}, "preference"))),
	})),
	"podAffinity":     harmless(kubePodAffinity),
	"podAntiAffinity": harmless(kubePodAffinity),
})

var kubeSpread = members(keysOf{
	"maxSkew":            harmless(between(1, 1<<31-1)),
	"topologyKey":        harmless(text),
	"whenUnsatisfiable":  harmless(oneOf("DoNotSchedule", "ScheduleAnyway")),
	"labelSelector":      harmless(labelSelector),
	"minDomains":         harmless(between(1, 1<<31-1)),
	"nodeAffinityPolicy": harmless(oneOf("Honor", "Ignore")),
	"nodeTaintsPolicy":   harmless(oneOf("Honor", "Ignore")),
	"matchLabelKeys":     harmless(listOf(text)),
}, "maxSkew", "topologyKey", "whenUnsatisfiable")

var kubeToleration = also(members(keysOf{
	"key":               harmless(text),
	"operator":          harmless(oneOf("Exists", "Equal", "")),
	"value":             harmless(text),
	"effect":            harmless(oneOf("NoSchedule", "PreferNoSchedule", "NoExecute", "")),
	"tolerationSeconds": harmless(between(-1<<62, 1<<62)),
}), func(w *walk, at place, t map[string]any) {
	key, _ := t["key"].(string)
	value, _ := t["value"].(string)
	effect, _ := t["effect"].(string)
	// What the server gives to every pod.
	if (key == "node.kubernetes.io/not-ready" || key == "node.kubernetes.io/unreachable") && effect == "NoExecute" {
		return
	}
	if t["operator"] != "Exists" {
		key += "=" + value
	} else if key == "" {
		key = "*"
	}
	if effect == "" {
		effect = "*"
	}
	w.want(at, "tolerations", key+":"+effect)
})

package policy

// The kinds that make pods.

var kubeTemplate = members(keysOf{
	"metadata": granted("annotations", templateMeta),
	"spec":     harmless(kubePod),
}, "metadata", "spec")

// replicaCount is how many pods one workload may ask for.
var replicaCount = between(0, maxReplicas)

var countOrShare = accept("must be a number or a percentage of at most 100%", func(v any) bool {
	n, ok := whole(v)
	return ok && n >= 0 && n <= 1<<31-1 || percentage.MatchString(textOf(v))
})

func textOf(v any) string {
	s, _ := v.(string)
	return s
}

var rollingUpdate = members(keysOf{"maxUnavailable": harmless(countOrShare), "maxSurge": harmless(countOrShare)})

var kubeDeployment = members(keysOf{
	"replicas":                granted("limits.containers", replicaCount),
	"selector":                harmless(labelSelector),
	"template":                harmless(kubeTemplate),
	"minReadySeconds":         harmless(seconds),
	"revisionHistoryLimit":    harmless(seconds),
	"progressDeadlineSeconds": harmless(seconds),
	"paused":                  harmless(flag),
	"strategy": harmless(members(keysOf{
		"type":          harmless(oneOf("Recreate", "RollingUpdate")),
		"rollingUpdate": harmless(rollingUpdate),
	})),
}, "selector", "template")

var kubeReplicaSet = members(keysOf{
	"replicas":        granted("limits.containers", replicaCount),
	"selector":        harmless(labelSelector),
	"template":        harmless(kubeTemplate),
	"minReadySeconds": harmless(seconds),
}, "selector", "template")

var kubeDaemonSet = members(keysOf{
	"selector":             harmless(labelSelector),
	"template":             harmless(kubeTemplate),
	"minReadySeconds":      harmless(seconds),
	"revisionHistoryLimit": harmless(seconds),
	"updateStrategy": harmless(members(keysOf{
		"type":          harmless(oneOf("OnDelete", "RollingUpdate")),
		"rollingUpdate": harmless(rollingUpdate),
	})),
}, "selector", "template")

var kubeStatefulSet = members(keysOf{
	"replicas":             granted("limits.containers", replicaCount),
	"selector":             harmless(labelSelector),
	"template":             harmless(kubeTemplate),
	"serviceName":          harmless(orEmpty(kubeName)),
	"podManagementPolicy":  harmless(oneOf("OrderedReady", "Parallel")),
	"minReadySeconds":      harmless(seconds),
	"revisionHistoryLimit": harmless(seconds),
	"ordinals":             harmless(members(keysOf{"start": harmless(seconds)})),
	"volumeClaimTemplates": granted("limits.volumes", listOf(kubeClaimTemplate)),
	"persistentVolumeClaimRetentionPolicy": harmless(members(keysOf{
		// Data is the operator's to delete.
		"whenDeleted": harmless(oneOf("Retain")),
		"whenScaled":  harmless(oneOf("Retain")),
	})),
	"updateStrategy": harmless(members(keysOf{
		"type":          harmless(oneOf("OnDelete", "RollingUpdate")),
		"rollingUpdate": harmless(members(keysOf{"partition": harmless(seconds), "maxUnavailable": harmless(countOrShare)})),
	})),
}, "selector", "template")

var kubeClaimTemplate = members(keysOf{
	"apiVersion": harmless(oneOf("v1")),
	"kind":       harmless(oneOf("PersistentVolumeClaim")),
	"metadata":   granted("annotations", claimMeta),
	"spec":       granted("limits.volumes", kubeClaimSpec),
	"status":     never(serversOwn),
}, "metadata", "spec")

var kubeJob = members(keysOf{
	"parallelism":             granted("limits.containers", replicaCount),
	"completions":             harmless(seconds),
	"completionMode":          harmless(oneOf("NonIndexed", "Indexed")),
	"activeDeadlineSeconds":   harmless(between(1, 1<<31-1)),
	"backoffLimit":            harmless(seconds),
	"backoffLimitPerIndex":    harmless(seconds),
	"maxFailedIndexes":        harmless(seconds),
	"podReplacementPolicy":    harmless(oneOf("TerminatingOrFailed", "Failed")),
	"suspend":                 harmless(flag),
	"ttlSecondsAfterFinished": harmless(seconds),
	"template":                harmless(kubeTemplate),
	"successPolicy": harmless(members(keysOf{"rules": harmless(listOf(members(keysOf{
		"succeededIndexes": harmless(text),
		"succeededCount":   harmless(seconds),
	})))})),
	"podFailurePolicy": harmless(members(keysOf{"rules": harmless(listOf(members(keysOf{
		"action": harmless(oneOf("FailJob", "FailIndex", "Ignore", "Count")),
		"onExitCodes": harmless(members(keysOf{
			"containerName": harmless(text),
			"operator":      harmless(oneOf("In", "NotIn")),
			"values":        harmless(listOf(between(0, 255))),
		})),
		"onPodConditions": harmless(listOf(members(keysOf{"type": harmless(text), "status": harmless(text)}, "type"))),
	}, "action")))})),
	"selector":       never("a job's own selects its pods; another could take over those of others"),
	"manualSelector": neverBut(false, "a job's own selects its pods; another could take over those of others"),
	"managedBy":      never("somebody else would make the pods"),
	"scheduling":     never("groups of pods are not supported"),
}, "template")

// kubeCronJob starts no job beside one that still runs: without end there would be
// more and more of them (attack C13).
var kubeCronJob = also(members(keysOf{
	"schedule":                   harmless(text),
	"timeZone":                   harmless(text),
	"startingDeadlineSeconds":    harmless(seconds),
	"concurrencyPolicy":          harmless(oneOf("Forbid", "Replace")),
	"suspend":                    harmless(flag),
	"successfulJobsHistoryLimit": harmless(between(0, 100)),
	"failedJobsHistoryLimit":     harmless(between(0, 100)),
	"jobTemplate": harmless(members(keysOf{
		"metadata": granted("annotations", claimMeta),
		"spec":     harmless(kubeJob),
	}, "spec")),
}, "schedule", "jobTemplate"), func(w *walk, at place, job map[string]any) {
	if _, said := job["concurrencyPolicy"]; !said {
		w.ask(at.key("concurrencyPolicy"), "is missing; it must be Forbid or Replace, or jobs run beside those that have not ended", "")
	}
})

// kubeScalerV2 and kubeScalerV1 count for the workload that they scale.
var kubeScalerV2 = members(keysOf{
	"scaleTargetRef": harmless(kubeScaled),
	"minReplicas":    harmless(replicaCount),
	"maxReplicas":    granted("limits.containers", between(1, maxReplicas)),
	"metrics":        harmless(listOf(kubeMetric)),
	"behavior": harmless(members(keysOf{
		"scaleUp":   harmless(kubeScaling),
		"scaleDown": harmless(kubeScaling),
	})),
	"targetCPUUtilizationPercentage": harmless(seconds), // of v1
}, "scaleTargetRef", "maxReplicas")

var kubeScaled = also(members(keysOf{
	"apiVersion": harmless(text),
	"kind":       harmless(oneOf("Deployment", "StatefulSet", "ReplicaSet")),
	"name":       harmless(kubeName),
}, "kind", "name"), func(w *walk, at place, ref map[string]any) {
	if !w.has(textOf(ref["kind"]), textOf(ref["name"])) {
		w.ask(at, "must be a workload of the same chart", show(ref["name"]))
	}
})

var kubeScaling = members(keysOf{
	"stabilizationWindowSeconds": harmless(seconds),
	"selectPolicy":               harmless(oneOf("Max", "Min", "Disabled")),
	"tolerance":                  harmless(amount),
	"policies": harmless(listOf(members(keysOf{
		"type":          harmless(oneOf("Pods", "Percent")),
		"value":         harmless(seconds),
		"periodSeconds": harmless(seconds),
	}, "type", "value", "periodSeconds"))),
})

var kubeTarget = members(keysOf{
	"type":               harmless(oneOf("Utilization", "Value", "AverageValue")),
	"value":              harmless(amount),
	"averageValue":       harmless(amount),
	"averageUtilization": harmless(seconds),
}, "type")

var kubeMeasure = members(keysOf{
	"name":     harmless(text),
	"selector": harmless(labelSelector),
}, "name")

var kubeMetric = members(keysOf{
	"type":     harmless(oneOf("Resource", "ContainerResource", "Pods", "Object", "External")),
	"resource": harmless(members(keysOf{"name": harmless(text), "target": harmless(kubeTarget)}, "name", "target")),
	"containerResource": harmless(members(keysOf{
		"name": harmless(text), "container": harmless(text), "target": harmless(kubeTarget),
	}, "name", "container", "target")),
	"pods":     harmless(members(keysOf{"metric": harmless(kubeMeasure), "target": harmless(kubeTarget)}, "metric", "target")),
	"external": harmless(members(keysOf{"metric": harmless(kubeMeasure), "target": harmless(kubeTarget)}, "metric", "target")),
	"object": harmless(members(keysOf{
		"describedObject": harmless(members(keysOf{"apiVersion": harmless(text), "kind": harmless(text), "name": harmless(text)}, "kind", "name")),
		"metric":          harmless(kubeMeasure),
		"target":          harmless(kubeTarget),
	}, "describedObject", "metric", "target")),
}, "type")

var kubeDisruption = members(keysOf{
	"minAvailable":               harmless(countOrShare),
	"maxUnavailable":             harmless(countOrShare),
	"selector":                   harmless(labelSelector),
	"unhealthyPodEvictionPolicy": harmless(oneOf("IfHealthyBudget", "AlwaysAllow")),
}, "selector")

package policy

import "maps"

// A kubeKind is a kind that an application may make.
type kubeKind struct {
	versions []string // of the API
	rule     rule
	section  string // of the grants that count for an object of this kind
	prefix   string // of its name there
}

func (k kubeKind) owner(name string) owner {
	if k.section == "" {
		return owner{}
	}
	return owner{k.section, k.prefix + name}
}

// kubernetesKinds are all kinds of Kubernetes' own that an application may make.
var kubernetesKinds = kindTable()

func kindTable() map[string]kubeKind {
	kinds := map[string]kubeKind{
		"ConfigMap":               {versions: []string{"v1"}, rule: flat(kubeConfigMap)},
		"Secret":                  {versions: []string{"v1"}, rule: flat(kubeSecret)},
		"ServiceAccount":          {versions: []string{"v1"}, rule: flat(kubeAccount)},
		"PersistentVolumeClaim":   {versions: []string{"v1"}, rule: withSpec("limits.volumes, persistentVolumes", kubeClaimSpec)},
		"Service":                 {versions: []string{"v1"}, rule: withSpec("nodePort, loadBalancer, ports, externalIPs, externalNames", kubeService), section: sectionServices},
		"Ingress":                 {versions: []string{"networking.k8s.io/v1"}, rule: withSpec("ingressHosts", kubeIngress)},
		"NetworkPolicy":           {versions: []string{"networking.k8s.io/v1"}, rule: withSpec("", kubeNetworkPolicy)},
		"HorizontalPodAutoscaler": {versions: []string{"autoscaling/v2", "autoscaling/v1"}, rule: withSpec("", kubeScalerV2)},
		"PodDisruptionBudget":     {versions: []string{"policy/v1"}, rule: withSpec("", kubeDisruption)},
		"Lease":                   {versions: []string{"coordination.k8s.io/v1"}, rule: withSpec("", kubeLease)},

		"Role":               {versions: []string{rbacGroup + "/v1"}, rule: flat(keysOf{"rules": granted("rules", kubeRights)}), section: sectionRoles, prefix: "Role/"},
		"RoleBinding":        {versions: []string{rbacGroup + "/v1"}, rule: flat(keysOf{"subjects": harmless(kubeSubjects), "roleRef": harmless(roleRef("Role", "ClusterRole"))}, "roleRef")},
		"ClusterRole":        {versions: []string{rbacGroup + "/v1"}, rule: object(clusterMeta, kubeClusterRole), section: sectionRoles, prefix: "ClusterRole/"},
		"ClusterRoleBinding": {versions: []string{rbacGroup + "/v1"}, rule: object(clusterMeta, keysOf{"subjects": harmless(kubeSubjects), "roleRef": harmless(roleRef("ClusterRole"))}, "roleRef")},
	}
	for kind, spec := range map[string]rule{
		"Pod": kubePod, "Deployment": kubeDeployment, "StatefulSet": kubeStatefulSet, "DaemonSet": kubeDaemonSet, "ReplicaSet": kubeReplicaSet,
		"Job": kubeJob, "CronJob": kubeCronJob,
	} {
		version := map[string]string{"Pod": "v1", "Job": "batch/v1", "CronJob": "batch/v1"}[kind]
		if version == "" {
			version = "apps/v1"
		}
		kinds[kind] = kubeKind{versions: []string{version}, rule: withSpec("", spec), section: sectionWorkloads, prefix: kind + "/"}
	}
	return kinds
}

var kubeClusterRole = keysOf{
	"rules":           granted("rules", kubeRights),
	"aggregationRule": never("the rights of other roles would be added"),
}

// object is a whole object with these fields beside its type and metadata.
func object(meta rule, own keysOf, required ...string) rule {
	keys := keysOf{
		"apiVersion": harmless(text), // [walk.object]
		"kind":       harmless(text),
		"metadata":   granted("annotations", meta),
		"status":     never(serversOwn),
	}
	maps.Copy(keys, own)
	return members(keys, append(required, "metadata")...)
}

func flat(own keysOf, required ...string) rule { return object(namespacedMeta, own, required...) }

func withSpec(grants string, spec rule) rule {
	key := harmless(spec)
	if grants != "" {
		key = granted(grants, spec)
	}
	return flat(keysOf{"spec": key}, "spec")
}

var kubeConfigMap = keysOf{
	"data":       harmless(mapOf(hidden)),
	"binaryData": harmless(mapOf(hidden)),
	"immutable":  harmless(flag),
}

// kubeSecret: a service account's token would be made by the server and last for ever.
var kubeSecret = keysOf{
	"data":       harmless(mapOf(hidden)),
	"stringData": harmless(mapOf(hidden)),
	"immutable":  harmless(flag),
	"type":       harmless(oneOf("Opaque", "kubernetes.io/tls", "kubernetes.io/basic-auth", "kubernetes.io/dockerconfigjson")),
}

var kubeLease = members(keysOf{
	"holderIdentity":       harmless(text),
	"leaseDurationSeconds": harmless(seconds),
	"acquireTime":          harmless(text),
	"renewTime":            harmless(text),
	"leaseTransitions":     harmless(seconds),
	"strategy":             harmless(text),
	"preferredHolder":      harmless(text),
})

const (
	clustersOwn = "it is the whole cluster's"
	judges      = "it would see and change what others make"
)

// neverKinds are kinds of Kubernetes' own that no grant covers, with the reason.
var neverKinds = map[string]string{
	"Namespace":                        "the agent makes the deployment's namespace",
	"CustomResourceDefinition":         "kinds are the whole cluster's; the operator installs them before",
	"ValidatingWebhookConfiguration":   judges,
	"MutatingWebhookConfiguration":     judges,
	"ValidatingAdmissionPolicy":        judges,
	"ValidatingAdmissionPolicyBinding": judges,
	"MutatingAdmissionPolicy":          judges,
	"MutatingAdmissionPolicyBinding":   judges,
	"APIService":                       judges,
	"PodSecurityPolicy":                "it does not exist any more",
	"PriorityClass":                    clustersOwn + "; the operator makes it, and priorityClasses grants it",
	"RuntimeClass":                     clustersOwn + "; the operator makes it, and runtimeClasses grants it",
	"StorageClass":                     clustersOwn + "; the operator makes it, and any claim may name it",
	"IngressClass":                     clustersOwn + "; the operator makes it, and any Ingress may name it",
	"VolumeAttributesClass":            clustersOwn,
	"PersistentVolume":                 "it can be made of any directory of a node; the operator makes it, and persistentVolumes grants it",
	"VolumeAttachment":                 clustersOwn,
	"CSIDriver":                        clustersOwn,
	"CSINode":                          clustersOwn,
	"CSIStorageCapacity":               clustersOwn,
	"Node":                             clustersOwn,
	"CertificateSigningRequest":        "anybody's certificate can be asked for",
	"ClusterTrustBundle":               clustersOwn,
	"PodCertificateRequest":            "anybody's certificate can be asked for",
	"FlowSchema":                       clustersOwn,
	"PriorityLevelConfiguration":       clustersOwn,
	"DeviceClass":                      clustersOwn,
	"ResourceSlice":                    clustersOwn,
	"ResourceClaim":                    "claims of devices are not supported; say an extended resource",
	"ResourceClaimTemplate":            "claims of devices are not supported; say an extended resource",
	"IPAddress":                        clustersOwn,
	"ServiceCIDR":                      clustersOwn,
	"Endpoints":                        "a service would send to any address",
	"EndpointSlice":                    "a service would send to any address",
	"ResourceQuota":                    "bounds of the namespace are the operator's",
	"LimitRange":                       "bounds of the namespace are the operator's",
	"PodTemplate":                      "nothing runs it",
	"ReplicationController":            "say a Deployment",
	"Event":                            "events are reported, not installed",
	"ControllerRevision":               serversOwn,
	"Binding":                          "the scheduler's own",
	"ComponentStatus":                  serversOwn,
	"TokenRequest":                     "a token is asked for by a pod",
	"TokenReview":                      "it is a question, not an object",
	"SelfSubjectReview":                "it is a question, not an object",
	"SubjectAccessReview":              "it is a question, not an object",
	"LocalSubjectAccessReview":         "it is a question, not an object",
	"SelfSubjectAccessReview":          "it is a question, not an object",
	"SelfSubjectRulesReview":           "it is a question, not an object",
	"Eviction":                         "it ends pods",
	"LeaseCandidate":                   "the control plane's own",
	"StorageVersion":                   serversOwn,
	"StorageVersionMigration":          clustersOwn,
	"PodGroup":                         "groups of pods are not supported",
	"Workload":                         "groups of pods are not supported",
	"List":                             "each object stands for itself",
}

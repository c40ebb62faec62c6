package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// withMeta is a ConfigMap with more in its metadata.
func withMeta(lines string) string {
	return "kind: ConfigMap\nmetadata:\n  name: a\n" + shift(lines, 2)
}

// rights is a role with one rule.
func rights(kind, name, rule string) string {
	return "{kind: " + kind + ", metadata: {name: " + name + "}, rules: [" + rule + "]}"
}

func service2(spec string) string {
	return "{kind: Service, metadata: {name: web}, spec: {selector: {app: web}, " + spec + "}}"
}

// Attack H5: what would reach beyond the namespace.
func TestAttackH5ObjectsBeyondTheNamespace(t *testing.T) {
	cases := map[string][2]string{
		"another namespace":       {withMeta("namespace: kube-system"), "ConfigMap/a.metadata.namespace (must be the deployment's namespace"},
		"a name of the cluster's": {"{kind: ClusterRole, metadata: {name: reader}}", "ClusterRole/reader.metadata.name (must be the release's name"},
		"owner":                   {withMeta("ownerReferences: [{apiVersion: v1, kind: Node, name: n, uid: u}]"), "ownerReferences (never granted"},
		"finalizer":               {withMeta("finalizers: [a/b]"), "finalizers (never granted"},
		"generated name":          {withMeta("generateName: a-"), "generateName (never granted"},
		"managed fields":          {withMeta("managedFields: []"), "managedFields (never granted"},
		"uid":                     {withMeta("uid: a"), "uid (never granted"},
		"version":                 {withMeta("resourceVersion: '5'"), "resourceVersion (never granted"},
		"status":                  {deployment("") + "status: {}\n", "status (never granted"},
		"hook":                    {withMeta("annotations: {helm.sh/hook: pre-install}"), "hooks do not run"},
		"kept":                    {withMeta("annotations: {helm.sh/resource-policy: keep}"), "never granted"},
		"another release's":       {withMeta("annotations: {meta.helm.sh/release-name: other}"), "never granted"},
		"last applied":            {withMeta("annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}"), "decides what an update deletes"},
		"controller's order":      {withMeta("annotations: {nginx.ingress.kubernetes.io/configuration-snippet: a}"), "needs the grant annotations"},
		"aggregated":              {"{kind: ClusterRole, metadata: {name: " + release + ", labels: {rbac.authorization.k8s.io/aggregate-to-admin: 'true'}}}", "orders to the cluster"},
		"aggregation":             {"{kind: ClusterRole, metadata: {name: " + release + "}, aggregationRule: {}}", "aggregationRule (never granted"},
		"label for a controller":  {withMeta("labels: {sidecar.istio.io/inject: 'false'}"), `labels for "sidecar.istio.io/inject=false"`},
		"agent's label":           {withMeta("labels: {dev.consign.helper: a}"), "the agent's own"},
		"agent's annotation":      {withMeta("annotations: {dev.consign.other: a}"), "the agent's own"},
		"name in capitals":        {"{kind: ConfigMap, metadata: {name: Web}}", "metadata.name (must be a DNS name"},
		"name with a path":        {"{kind: ConfigMap, metadata: {name: ../a}}", "metadata.name (must be a DNS name"},
		"no name":                 {"{kind: ConfigMap, metadata: {}}", "metadata.name (is missing)"},
		"twice":                   {"{kind: ConfigMap, metadata: {name: a}}\n---\n{kind: ConfigMap, metadata: {name: a}}", "second object of this kind and name"},
		"old version":             {"{kind: Deployment, apiVersion: extensions/v1beta1, metadata: {name: a}}", "Deployment/a.apiVersion (must be apps/v1"},
		"kind in a wrong group":   {"{kind: Secret, apiVersion: apps/v1, metadata: {name: a}}", "apiVersion (must be v1"},
		"unknown kind":            {"{kind: Other, metadata: {name: a}}", "no kind that an application may make"},
		"unknown kind of theirs":  {"{kind: Other, apiVersion: later.k8s.io/v1, metadata: {name: a}}", "no kind that an application may make"},
		"custom kind":             {"{kind: Line, apiVersion: acme.example.com/v1, metadata: {name: a}}", "Line/a (needs the grant customKinds"},
		"built-in name, custom":   {"{kind: Pod, apiVersion: acme.example.com/v1, metadata: {name: a}, spec: {}}", "Pod/a (needs the grant customKinds"},
		"no kind":                 {"{metadata: {name: a}}", "no kind that an application may make"},
		"list":                    {"{kind: List, metadata: {name: a}, items: []}", "each object stands for itself"},
		"claims that go when scaled": {
			"{kind: StatefulSet, metadata: {name: a}, spec: {persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}}}", "whenScaled (",
		},
		"replication controller": {"{kind: ReplicationController, metadata: {name: a}}", "say a Deployment"},
	}
	for kind, group := range map[string]string{
		"Namespace": "v1", "CustomResourceDefinition": "apiextensions.k8s.io/v1", "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
		"MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy": "admissionregistration.k8s.io/v1",
		"ValidatingAdmissionPolicyBinding": "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy": "admissionregistration.k8s.io/v1", "APIService": "apiregistration.k8s.io/v1",
		"PriorityClass": "scheduling.k8s.io/v1", "RuntimeClass": "node.k8s.io/v1", "StorageClass": "storage.k8s.io/v1", "PersistentVolume": "v1", "Node": "v1",
		"PodSecurityPolicy": "policy/v1beta1", "CertificateSigningRequest": "certificates.k8s.io/v1", "Endpoints": "v1", "EndpointSlice": "discovery.k8s.io/v1",
		"IngressClass": "networking.k8s.io/v1", "CSIDriver": "storage.k8s.io/v1", "ResourceQuota": "v1", "LimitRange": "v1",
	} {
		cases[kind] = [2]string{"{kind: " + kind + ", apiVersion: " + group + ", metadata: {name: a}}", kind + "/a (never granted"}
	}
	refusals(t, grantsOf(t, everyGrant), cases)
}

// Attack H5: rights are those that the grants name, for accounts of the chart.
func TestAttackH5Rights(t *testing.T) {
	refusals(t, policy.Grants{}, map[string][2]string{
		"any verb":              {rights("Role", "a", "{apiGroups: [''], resources: [pods], verbs: ['*']}"), "rules[0] (never granted"},
		"any resource":          {rights("Role", "a", "{apiGroups: [''], resources: ['*'], verbs: [get]}"), "never granted"},
		"any group":             {rights("Role", "a", "{apiGroups: ['*'], resources: [pods], verbs: [get]}"), "never granted"},
		"any subresource":       {rights("Role", "a", "{apiGroups: [''], resources: ['pods/*'], verbs: [get]}"), "never granted"},
		"escalate":              {rights("Role", "a", "{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate]}"), "somebody else's rights"},
		"bind":                  {rights("Role", "a", "{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [bind]}"), "somebody else's rights"},
		"impersonate":           {rights("Role", "a", "{apiGroups: [''], resources: [serviceaccounts], verbs: [impersonate]}"), "somebody else's rights"},
		"all secrets":           {rights("Role", "a", "{apiGroups: [''], resources: [secrets], verbs: [get]}"), "secrets are granted by name"},
		"all of the cluster":    {rights("ClusterRole", release, "{apiGroups: [''], resources: [secrets], verbs: [list]}"), "the secrets of others; a Role can have some by name"},
		"one secret":            {rights("Role", "a", "{apiGroups: [''], resources: [secrets], resourceNames: ["+release+"-cert], verbs: [get]}"), `rules for "get secrets[RELEASE-cert]"`},
		"exec":                  {rights("Role", "a", "{apiGroups: [''], resources: [pods/exec], verbs: [create]}"), `"create pods/exec"`},
		"tokens":                {rights("Role", "a", "{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]}"), `"create serviceaccounts/token"`},
		"pods":                  {rights("Role", "a", "{apiGroups: [''], resources: [pods], verbs: [get, list]}"), `"get pods"`},
		"a path in a Role":      {rights("Role", "a", "{nonResourceURLs: [/metrics], verbs: [get]}"), "never granted"},
		"proxy of nodes":        {rights("Role", "a", "{apiGroups: [''], resources: [nodes/proxy], verbs: [get]}"), "never granted"},
		"cluster's secrets":     {rights("ClusterRole", release, "{apiGroups: [''], resources: [secrets], resourceNames: [a], verbs: [get]}"), "the secrets of others"},
		"cluster's pods":        {rights("ClusterRole", release, "{apiGroups: [''], resources: [pods], verbs: [create]}"), "only custom kinds may be written"},
		"cluster's exec":        {rights("ClusterRole", release, "{apiGroups: [''], resources: [pods/exec], verbs: [get]}"), "reaches into the pods of others"},
		"cluster's webhooks":    {rights("ClusterRole", release, "{apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], verbs: [update]}"), "never granted"},
		"certificates":          {rights("ClusterRole", release, "{apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval], verbs: [update]}"), "never granted"},
		"a path that is posted": {rights("ClusterRole", release, "{nonResourceURLs: [/x], verbs: [post]}"), "never granted"},
		"any path":              {rights("ClusterRole", release, "{nonResourceURLs: ['/*'], verbs: [get]}"), "never granted"},
		"many":                  {rights("Role", "a", "{apiGroups: ["+strings.Repeat("a,", 20)+"], resources: ["+strings.Repeat("a,", 20)+"], verbs: ["+strings.Repeat("get,", 20)+"]}"), "at most 1024 rights"},

		"cluster-admin":        {binding("RoleBinding", "a", "{kind: ClusterRole, name: cluster-admin}", "{kind: ServiceAccount, name: web, namespace: NS}"), "roleRef.name (must be a role of the same chart"},
		"edit":                 {binding("RoleBinding", "a", "{kind: ClusterRole, name: edit}", "{kind: ServiceAccount, name: web, namespace: NS}"), "roleRef.name (must be a role of the same chart"},
		"cluster-wide admin":   {binding("ClusterRoleBinding", release, "{kind: ClusterRole, name: cluster-admin}", "{kind: ServiceAccount, name: web, namespace: NS}"), "roleRef.name (must be"},
		"everybody":            {binding("RoleBinding", "a", "{kind: Role, name: web}", "{kind: Group, name: system:authenticated}"), "subjects[0].kind (must be ServiceAccount"},
		"a user":               {binding("RoleBinding", "a", "{kind: Role, name: web}", "{kind: User, name: admin}"), "subjects[0].kind"},
		"default account":      {binding("RoleBinding", "a", "{kind: Role, name: web}", "{kind: ServiceAccount, name: default, namespace: NS}"), "subjects[0].name (must be a ServiceAccount of the same chart"},
		"another's account":    {binding("RoleBinding", "a", "{kind: Role, name: web}", "{kind: ServiceAccount, name: web, namespace: kube-system}"), "subjects[0].namespace"},
		"account of no place":  {binding("RoleBinding", "a", "{kind: Role, name: web}", "{kind: ServiceAccount, name: web}"), "subjects[0].namespace (is missing"},
		"account's old tokens": {"{kind: ServiceAccount, metadata: {name: a}, secrets: [{name: b}]}", "secrets (never granted"},
	})
}

func binding(kind, name, role, subject string) string {
	role = strings.Replace(role, "{", "{apiGroup: rbac.authorization.k8s.io, ", 1)
	return "{kind: " + kind + ", metadata: {name: " + name + "}, roleRef: " + role + ", subjects: [" + strings.ReplaceAll(subject, "NS", namespace) + "]}\n---\n" +
		"{kind: ServiceAccount, metadata: {name: web}}\n---\n{kind: Role, metadata: {name: web}}\n"
}

// Attacks H6, C8 and C13: what pods and their surroundings may not ask for.
func TestKubernetesRefusesWhatIsNotGranted(t *testing.T) {
	refusals(t, policy.Grants{}, map[string][2]string{
		"image by tag":          {strings.Replace(deployment(""), "IMAGE", "nginx:1.27", 1), "containers[0].image (must be an image of the bundle by digest"},
		"tag and digest":        {strings.Replace(deployment(""), "IMAGE", "a.example/b:1@sha256:"+strings.Repeat("0", 64), 1), "containers[0].image"},
		"image volume by tag":   {deployment("volumes: [{name: v, image: {reference: 'a:1'}}]"), "volumes[0].image.reference (must be an image"},
		"ephemeral container":   {deployment("ephemeralContainers: [{name: d, image: IMAGE}]"), "ephemeralContainers (never granted"},
		"no limits":             {container("resources: {requests: {cpu: 1}}"), "limits.cpu (is missing)"},
		"no memory limit":       {container("resources: {limits: {cpu: 1}}"), "limits.memory (is missing)"},
		"no limit is zero":      {container("resources: {limits: {cpu: 1, memory: 0}}"), "limits.memory (is missing)"},
		"memory":                {container("resources: {limits: {cpu: 1, memory: 2Gi}}"), "limits.memory (at most 1g, the grant limits.memory"},
		"memory of exabytes":    {container("resources: {limits: {cpu: 1, memory: 99999Ei}}"), "more than any machine has"},
		"processors":            {container("resources: {limits: {cpu: 1500m, memory: 1Mi}}"), "limits.cpu (at most 1, the grant limits.cpus"},
		"exponent":              {container("resources: {limits: {cpu: 1, memory: '1e3'}}"), "limits.memory (must be an amount"},
		"negative":              {container("resources: {limits: {cpu: -1, memory: 1Mi}}"), "limits.cpu (must be an amount"},
		"requested memory":      {container("resources: {limits: {cpu: 1, memory: 1Gi}, requests: {memory: 3G}}"), "requests.memory (at most"},
		"GPU":                   {container("resources: {limits: {cpu: 1, memory: 1Mi, nvidia.com/gpu: 1}}"), `extendedResources for "nvidia.com/gpu"`},
		"device claims":         {container("resources: {claims: [{name: a}], limits: {cpu: 1, memory: 1Mi}}"), "claims (never granted"},
		"many replicas":         {strings.Replace(deployment(""), "spec:\n", "spec:\n  replicas: 17\n", 1), "replicas (must be a whole number from 0 to 16"},
		"many containers":       {strings.Replace(workload("Deployment", "web", "", "")+"---\n"+workload("Pod", "b", "", ""), "spec:\n", "spec:\n  replicas: 16\n", 1), "objects (at most 16 containers, the grant limits.containers"},
		"scaled":                {scaled(16) + "---\n" + workload("Pod", "b", "", ""), "objects (at most 16 containers"},
		"scaled beyond":         {scaled(17), "maxReplicas (must be"},
		"scaled, another's":     {strings.Replace(scaled(2), "{kind: Deployment, name: web}", "{kind: Deployment, name: other}", 1), "scaleTargetRef (must be a workload of the same chart"},
		"parallel jobs":         {strings.Replace(workload("Job", "a", "", ""), "spec:\n", "spec:\n  parallelism: 17\n", 1), "parallelism (must be"},
		"jobs beside another":   {strings.Replace(workload("CronJob", "a", "", ""), "  concurrencyPolicy: Forbid\n", "", 1), "concurrencyPolicy (is missing; it must be Forbid or Replace"},
		"another maker of pods": {strings.Replace(workload("Job", "a", "", ""), "spec:\n", "spec:\n  managedBy: a.example/b\n", 1), "managedBy (never granted"},
		"claim":                 {"{kind: PersistentVolumeClaim, metadata: {name: a}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 11Gi}}}}", "objects (at most 10g of claims, the grant limits.volumes"},
		"certain volume":        {"{kind: PersistentVolumeClaim, metadata: {name: a}, spec: {accessModes: [ReadWriteOnce], volumeName: disk, resources: {requests: {storage: 1Gi}}}}", `persistentVolumes for "disk"`},
		"copied volume":         {"{kind: PersistentVolumeClaim, metadata: {name: a}, spec: {accessModes: [ReadWriteOnce], dataSource: {kind: VolumeSnapshot, name: s}, resources: {requests: {storage: 1Gi}}}}", "dataSource (never granted"},
		"memory without bound":  {deployment("volumes: [{name: v, emptyDir: {medium: Memory}}]"), "emptyDir.sizeLimit (is missing)"},
		"much memory":           {deployment("volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 1Gi}}]"), "sizeLimit (at most 256m, the grant limits.tmpfs"},
		"huge pages":            {deployment("volumes: [{name: v, emptyDir: {medium: HugePages}}]"), "emptyDir.medium"},
		"path of the kubelet":   {deployment("volumes: [{name: v, hostPath: {path: /var/lib/kubelet/pods}}]"), "hostPath.path (never granted"},
		"the root":              {deployment("volumes: [{name: v, hostPath: {path: /}}]"), "hostPath.path (never granted"},
		"sockets":               {deployment("volumes: [{name: v, hostPath: {path: /var/run/containerd/containerd.sock}}]"), "hostPath.path (never granted"},
		"k3s":                   {deployment("volumes: [{name: v, hostPath: {path: /run/k3s/containerd/containerd.sock}}]"), "hostPath.path (never granted"},
		"a device":              {deployment("volumes: [{name: v, hostPath: {path: /srv/a, type: BlockDevice}}]"), "hostPath.type (must be"},
		"written path":          {container("volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /b, readOnly: true}]") + "\n      volumes: [{name: v, hostPath: {path: /srv/a}}]", `"/srv/a:rw"`},
		"created path":          {deployment("volumes: [{name: v, hostPath: {path: /srv/a, type: DirectoryOrCreate}}]"), `"/srv/a:rw"`},
		"mounts to the node":    {container("volumeMounts: [{name: v, mountPath: /a, mountPropagation: Bidirectional}]"), "mountPropagation (must be None"},
		"mounts from the node":  {container("volumeMounts: [{name: v, mountPath: /a, mountPropagation: HostToContainer}]"), "mountPropagation (must be None"},
		"climbing path":         {container("volumeMounts: [{name: v, mountPath: /a, subPath: ../b}]"), "subPath (must be a path without"},
		"host network's port":   {strings.Replace(container("ports: [{containerPort: 9000}]"), "      containers:", "      hostNetwork: true\n      containers:", 1), `containerPort (needs the grant hostPorts for "9000/tcp"`},

		"another's secret":      {container("env: [{name: A, valueFrom: {secretKeyRef: {name: other, key: a}}}]"), `references for "Secret/other"`},
		"another's variables":   {container("envFrom: [{secretRef: {name: other, optional: true}}]"), `"Secret/other"`},
		"another's config":      {container("envFrom: [{configMapRef: {name: other}}]"), `"ConfigMap/other"`},
		"another's files":       {deployment("volumes: [{name: v, secret: {secretName: other, optional: true}}]"), `"Secret/other"`},
		"another's projection":  {deployment("volumes: [{name: v, projected: {sources: [{secret: {name: other}}]}}]"), `"Secret/other"`},
		"another's claim":       {deployment("volumes: [{name: v, persistentVolumeClaim: {claimName: other}}]"), `"PersistentVolumeClaim/other"`},
		"another's account":     {deployment("serviceAccountName: other"), `"ServiceAccount/other"`},
		"account, old spelling": {deployment("serviceAccount: other"), `"ServiceAccount/other"`},
		"another's registry":    {deployment("imagePullSecrets: [{name: other}]"), `"Secret/other"`},
		"a custom Secret":       {deployment("volumes: [{name: v, secret: {secretName: s}}]") + "---\n{kind: Secret, apiVersion: acme.example.com/v1, metadata: {name: s}}", `"Secret/s"`},
		"another's TLS":         {"{kind: Ingress, metadata: {name: a}, spec: {tls: [{secretName: other}]}}", `"Secret/other"`},
		"token for others":      {deployment("volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: a, audience: vault}}]}}]"), `tokenAudiences for "vault"`},
		"certificates of pods":  {deployment("volumes: [{name: v, projected: {sources: [{podCertificate: {signerName: a/b, keyType: RSA}}]}}]"), "podCertificate (never granted"},
		"token for ever":        {"{kind: Secret, metadata: {name: a}, type: kubernetes.io/service-account-token}", "type (must be Opaque"},
		"bootstrap token":       {"{kind: Secret, metadata: {name: a}, type: bootstrap.kubernetes.io/token}", "type (must be Opaque"},
		"CSI volume":            {deployment("volumes: [{name: v, csi: {driver: secrets-store.csi.k8s.io}}]"), `csiDrivers for "secrets-store.csi.k8s.io"`},

		"chosen node":          {deployment("nodeName: control-1"), `nodes for "control-1"`},
		"control plane":        {deployment("tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}]"), `tolerations for "node-role.kubernetes.io/control-plane:NoSchedule"`},
		"every taint":          {deployment("tolerations: [{operator: Exists}]"), `tolerations for "*:*"`},
		"priority":             {deployment("priorityClassName: high"), `priorityClasses for "high"`},
		"system priority":      {deployment("priorityClassName: system-node-critical"), "priorityClassName (never granted"},
		"priority as a number": {deployment("priority: 2000000000"), "priority (never granted"},
		"runtime":              {deployment("runtimeClassName: nvidia"), `runtimeClasses for "nvidia"`},
		"scheduler":            {deployment("schedulerName: mine"), `schedulers for "mine"`},
		"names":                {deployment("hostAliases: [{ip: 10.0.0.9, hostnames: [registry]}]"), `extraHosts for "registry=10.0.0.9"`},
		"name servers":         {deployment("dnsConfig: {nameservers: [10.0.0.1]}"), `dns for "10.0.0.1"`},
		"grace":                {deployment("terminationGracePeriodSeconds: 601"), "terminationGracePeriodSeconds (must be"},
		"other namespaces":     {deployment("affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a, namespaceSelector: {}}]}}"), "namespaceSelector (never granted"},
		"Windows":              {deployment("os: {name: windows}"), "os.name (must be linux"},
		"gates":                {deployment("schedulingGates: [{name: a}]"), "schedulingGates (never granted"},

		"node port":           {service2("type: NodePort, ports: [{port: 80}]"), "type (needs the grant nodePort)"},
		"balancer":            {service2("type: LoadBalancer, ports: [{port: 8080}]"), "type (needs the grant loadBalancer)"},
		"low balanced port":   {service2("type: LoadBalancer, ports: [{port: 80}]"), `ports[0].port (needs the grant ports for "80/tcp")`},
		"external address":    {service2("externalIPs: [192.0.2.1]"), `externalIPs for "192.0.2.1"`},
		"external name":       {"{kind: Service, metadata: {name: a}, spec: {type: ExternalName, externalName: evil.example}}", `externalNames for "evil.example"`},
		"somebody's endpoint": {"{kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}", "spec.selector (is missing)"},
		"address of its own":  {service2("clusterIP: 10.96.0.10"), "clusterIP (must be None"},
		"host":                {"{kind: Ingress, metadata: {name: a}, spec: {rules: [{host: line.example.com}]}}", `ingressHosts for "line.example.com"`},
		"order in a path":     {"{kind: Ingress, metadata: {name: a}, spec: {rules: [{http: {paths: [{path: '/a;} location /b {', pathType: ImplementationSpecific, backend: {service: {name: a, port: {number: 80}}}}]}}]}}", "paths[0].path (must be a path"},
		"any host":            {"{kind: Ingress, metadata: {name: a}, spec: {rules: [{}]}}", `ingressHosts for "*"`},
		"default of a proxy":  {"{kind: Ingress, metadata: {name: a}, spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}}", `ingressHosts for "*"`},
		"backend of others":   {"{kind: Ingress, metadata: {name: a}, spec: {defaultBackend: {resource: {kind: Bucket, name: b}}}}", "resource (never granted"},
	})
}

func scaled(most int) string {
	return deployment("") + fmt.Sprintf("---\n{kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {scaleTargetRef: {kind: Deployment, name: web}, maxReplicas: %d}}\n", most)
}

// Attack H14: what is ours bears the label of one deployment, in every template.
func TestAttackH14EveryObjectBearsTheDeployment(t *testing.T) {
	for _, kind := range kindsOfWorkloads {
		for n, change := range []func(labels tree){
			func(l tree) { delete(l, "dev.consign.deployment") },
			func(l tree) { l["dev.consign.deployment"] = "" },
			func(l tree) { l["dev.consign.deployment"] = "d-2" },
		} {
			for _, where := range []string{"object", "template"} {
				all := objects(t, "{kind: ConfigMap, metadata: {name: a}}\n---\n"+workload(kind, "web", "", ""))
				meta := child(all[1], "metadata")
				for _, template := range templates(all[1]) {
					if where == "template" {
						meta = child(template, "metadata")
					}
				}
				change(child(meta, "labels"))
				first := all[1:]
				if n == 2 && (kind == "Pod" || where == "object") {
					first = all // a value is another one only beside others
				}
				for _, some := range [][]tree{all, first} {
					err := (policy.Grants{}).CheckKubernetes(rendered(some))
					if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "dev.consign.deployment") {
						t.Errorf("%s, %s, change %d: %v", kind, where, n, err)
					}
				}
			}
		}
	}
}

// Attack H7: an image by anything but its digest, in every place that names one.
func TestAttackH7ImagesByDigest(t *testing.T) {
	g := grantsOf(t, "kubernetes: {customKinds: {Line.acme.example.com: {imageFields: ['spec.nodes[].image']}}}")
	for _, bad := range []string{
		"nginx", "nginx:1.27", "'docker.io/library/nginx:latest'", "'a.example/b@sha256:00'", "'a.example/b:1@sha256:" + strings.Repeat("0", 64) + "'", "'a.example/b@sha512:" + strings.Repeat("0", 128) + "'",
		"'" + image + " '", "'" + image + "\\n'", "'A.example/b@sha256:" + strings.Repeat("0", 64) + "'", "''", "5", "[]", "sha256:" + strings.Repeat("0", 64),
	} {
		cases := map[string][2]string{"field of a custom kind": {"{kind: Line, apiVersion: acme.example.com/v1, metadata: {name: a}, spec: {nodes: [{image: " + bad + "}]}}", "spec.nodes[0].image (must be an image"}}
		for _, kind := range kindsOfWorkloads {
			cases[kind+", container"] = [2]string{strings.ReplaceAll(workload(kind, "web", "", ""), "IMAGE", bad), "containers[0].image (must be an image"}
			cases[kind+", init container"] = [2]string{workload(kind, "web", "initContainers: [{name: a, image: "+bad+"}]", ""), "initContainers[0].image (must be an image"}
			cases[kind+", volume"] = [2]string{workload(kind, "web", "volumes: [{name: a, image: {reference: "+bad+"}}]", ""), "volumes[0].image.reference (must be an image"}
		}
		refusals(t, g, cases)
	}
}

// Attack H4: kinds are never a chart's to make, whatever is granted.
func TestAttackH4CustomResourceDefinitions(t *testing.T) {
	const definition = "{kind: CustomResourceDefinition, apiVersion: apiextensions.k8s.io/v1, metadata: {name: lines.acme.example.com}, spec: {}}"
	refusals(t, grantsOf(t, everyGrant), map[string][2]string{"definition": {definition, "CustomResourceDefinition/lines.acme.example.com (never granted"}})
	if _, err := granting(t, "{kubernetes: {customKinds: {CustomResourceDefinition.apiextensions.k8s.io: {}}}}", ""); !reason.Is(err, reason.Malformed) {
		t.Errorf("it can be granted: %v", err)
	}
	if p, err := (policy.Grants{}).ProposeKubernetes(chart(t, definition)); err != nil || len(p.Never) != 1 {
		t.Errorf("it is proposed: %v %+v", err, p)
	}
}

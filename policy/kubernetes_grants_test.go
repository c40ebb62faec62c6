package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

func forWeb(grants string) string {
	return "kubernetes: {workloads: {Deployment/web: {" + grants + "}}}"
}

// Each grant covers the thing that it names, of the one that it names, and no
// neighbour of it.
func TestKubernetesGrantsCoverExactlyWhatTheyName(t *testing.T) {
	path := func(path, more string) string {
		return deployment("volumes: [{name: v, hostPath: {path: " + path + more + "}}]")
	}
	role := func(rule string) string { return rights("Role", "web", rule) }
	for name, c := range map[string]struct {
		grants, covered string
		others          []string
	}{
		"privileged":   {forWeb("privileged: true"), container("securityContext: {privileged: true}"), []string{deployment("hostPID: true"), container("securityContext: {capabilities: {add: [SYS_ADMIN]}}"), workload("StatefulSet", "web", "", "securityContext: {privileged: true}"), workload("Deployment", "web2", "", "securityContext: {privileged: true}")}},
		"hostNetwork":  {forWeb("hostNetwork: true"), deployment("hostNetwork: true"), []string{deployment("hostPID: true"), container("ports: [{containerPort: 80, hostPort: 80}]")}},
		"hostPid":      {forWeb("hostPid: true"), deployment("hostPID: true"), []string{deployment("hostIPC: true")}},
		"capability":   {forWeb("capabilities: [NET_ADMIN]"), container("securityContext: {capabilities: {add: [NET_ADMIN]}}"), []string{container("securityContext: {capabilities: {add: [NET_ADMIN, NET_RAW]}}"), container("securityContext: {capabilities: {add: [ALL]}}")}},
		"path to read": {forWeb("hostPaths: ['/srv/a:ro']"), path("/srv/a", ""), []string{path("/srv/ab", ""), path("/srv", ""), path("/srv/a/b", ""), path("/srv/a/", ""), path("/srv/a/../b", ""), path("/srv/a", ", type: FileOrCreate"), container("volumeMounts: [{name: v, mountPath: /a}]") + "\n      volumes: [{name: v, hostPath: {path: /srv/a}}]"}},
		"port":         {forWeb("hostPorts: [80/tcp]"), container("ports: [{containerPort: 8080, hostPort: 80}]"), []string{container("ports: [{containerPort: 8080, hostPort: 81}]"), container("ports: [{containerPort: 8080, hostPort: 80, protocol: UDP}]"), container("ports: [{containerPort: 8080, hostPort: 80, protocol: SCTP}]")}},
		"toleration":   {forWeb("tolerations: ['line=7:NoSchedule']"), deployment("tolerations: [{key: line, value: '7', effect: NoSchedule}]"), []string{deployment("tolerations: [{key: line, operator: Exists, effect: NoSchedule}]"), deployment("tolerations: [{key: line, value: '7'}]"), deployment("tolerations: [{operator: Exists}]")}},
		"annotation":   {"kubernetes: {annotations: ['a.example/b=c']}", withMeta("annotations: {a.example/b: c}"), []string{withMeta("annotations: {a.example/b: d}"), withMeta("annotations: {a.example/c: c}")}},
		"label":        {"kubernetes: {labels: ['a.example/b=c']}", withMeta("labels: {a.example/b: c}"), []string{withMeta("labels: {a.example/b: d}"), withMeta("labels: {a.example/c: c}"), withMeta("annotations: {a.example/b: c}")}},
		"reference":    {"kubernetes: {references: [Secret/RELEASE-other]}", deployment("volumes: [{name: v, secret: {secretName: " + release + "-other}}]"), []string{deployment("volumes: [{name: v, secret: {secretName: other}}]"), deployment("volumes: [{name: v, configMap: {name: " + release + "-other}}]")}},
		"host":         {"kubernetes: {ingressHosts: [a.example]}", "{kind: Ingress, metadata: {name: a}, spec: {rules: [{host: a.example}]}}", []string{"{kind: Ingress, metadata: {name: a}, spec: {rules: [{host: b.a.example}]}}", "{kind: Ingress, metadata: {name: a}, spec: {rules: [{host: '*.example'}]}}", "{kind: Ingress, metadata: {name: a}, spec: {rules: [{}]}}"}},
		"node port":    {"kubernetes: {services: {web: {nodePort: true}}}", service2("type: NodePort, ports: [{port: 80, nodePort: 30080}]"), []string{service2("type: NodePort, ports: [{port: 80, nodePort: 30502}]"), service2("type: LoadBalancer, ports: [{port: 8080}]"), strings.Replace(service2("type: NodePort, ports: [{port: 80}]"), "name: web", "name: web2", 1)}},
		"reserved":     {"kubernetes: {services: {web: {nodePort: true, ports: [30502/tcp]}}}", service2("type: NodePort, ports: [{port: 80, nodePort: 30502}]"), []string{service2("type: NodePort, ports: [{port: 80, nodePort: 4840}]")}},
		"rule": {"kubernetes: {roles: {Role/web: {rules: ['get,list pods', 'update deployments.apps/scale']}}}", role("{apiGroups: [''], resources: [pods], verbs: [list, get]}, {apiGroups: [apps], resources: [deployments/scale], verbs: [update]}"), []string{
			role("{apiGroups: [''], resources: [pods], verbs: [watch]}"), role("{apiGroups: [''], resources: [pods/log], verbs: [get]}"), role("{apiGroups: [metrics.k8s.io], resources: [pods], verbs: [get]}"),
			role("{apiGroups: [apps], resources: [deployments], verbs: [update]}"), rights("Role", "web2", "{apiGroups: [''], resources: [pods], verbs: [get]}"), rights("ClusterRole", release, "{apiGroups: [''], resources: [pods], verbs: [get]}"),
		}},
		"rule by name": {"kubernetes: {roles: {Role/web: {rules: ['get secrets[RELEASE-a]']}}}", role("{apiGroups: [''], resources: [secrets], resourceNames: [" + release + "-a], verbs: [get]}"), []string{role("{apiGroups: [''], resources: [secrets], resourceNames: [a], verbs: [get]}"), role("{apiGroups: [''], resources: [secrets], verbs: [get]}")}},
		"cluster's rule": {"kubernetes: {roles: {ClusterRole/RELEASE: {rules: ['list nodes', 'create,update lines.acme.example.com', 'create events']}}}",
			rights("ClusterRole", release, "{apiGroups: [''], resources: [nodes], verbs: [list]}, {apiGroups: [acme.example.com], resources: [lines], verbs: [create, update]}, {apiGroups: [''], resources: [events], verbs: [create]}"),
			[]string{rights("ClusterRole", release+"-b", "{apiGroups: [''], resources: [nodes], verbs: [list]}")}},
		"custom kind": {"kubernetes: {customKinds: {Line.acme.example.com: {imageFields: ['spec.nodes[].image']}}}", "{kind: Line, apiVersion: acme.example.com/v2, metadata: {name: a}, spec: {nodes: [{image: IMAGE}, {}], other: {any: thing}}}", []string{
			"{kind: Line, apiVersion: acme.example.com/v2, metadata: {name: a}, spec: {nodes: [{image: 'a:1'}]}}", "{kind: Line, apiVersion: acme.example.com/v2, metadata: {name: a}, spec: {nodes: {image: IMAGE}}}",
			"{kind: Line, apiVersion: acme.example.com/v2, metadata: {name: a}, status: {}}", "{kind: Line, apiVersion: acme.example.com/v2, metadata: {name: a, finalizers: [b]}}",
			"{kind: Line, apiVersion: other.example.com/v2, metadata: {name: a}}", "{kind: Lines, apiVersion: acme.example.com/v2, metadata: {name: a}}",
		}},
	} {
		g := grantsOf(t, c.grants)
		if err := g.CheckKubernetes(chart(t, c.covered)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := (policy.Grants{}).CheckKubernetes(chart(t, c.covered)); !reason.Is(err, reason.Grant) {
			t.Errorf("%s: without the grant: %v", name, err)
		}
		for _, other := range c.others {
			if err := g.CheckKubernetes(chart(t, other)); !reason.Is(err, reason.Grant) {
				t.Errorf("%s covers\n%s%v", name, other, err)
			}
		}
	}
}

// What can be asked for, each as the pod or container of a workload, or as an
// object of its own.
var askedOfPods = []string{
	"hostNetwork: true", "hostPID: true", "hostIPC: true", "nodeName: n", "runtimeClassName: a", "priorityClassName: b", "schedulerName: c", "serviceAccountName: other",
	"tolerations: [{operator: Exists}, {key: a, value: b, effect: NoExecute}]", "hostAliases: [{ip: 10.0.0.9, hostnames: [a, b]}]", "dnsConfig: {nameservers: [10.0.0.1], searches: [a.b], options: [{name: ndots, value: '1'}]}",
	"imagePullSecrets: [{name: " + release + "-pull}]", "volumes: [{name: a, hostPath: {path: /srv/a}}, {name: b, nfs: {server: a, path: /b}}, {name: c, csi: {driver: d.e}}, {name: d, emptyDir: {medium: Memory, sizeLimit: 1Gi}}]",
	"volumes: [{name: a, projected: {sources: [{serviceAccountToken: {path: a, audience: b}}]}}, {name: e, persistentVolumeClaim: {claimName: f}}]",
	"securityContext: {sysctls: [{name: net.core.somaxconn, value: '1'}], seccompProfile: {type: Unconfined}, seLinuxOptions: {type: a_t}}",
}

var askedOfContainers = []string{
	"securityContext: {privileged: true}", "securityContext: {capabilities: {add: [NET_ADMIN, SYS_TIME]}, procMount: Unmasked}", "ports: [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 81, protocol: UDP}]",
	"resources: {limits: {cpu: 3500m, memory: 3Gi, nvidia.com/gpu: 1}}", "livenessProbe: {httpGet: {port: 80, host: a}}", "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
}

var askedOfCharts = []string{
	"{kind: Service, metadata: {name: RELEASE-a}, spec: {type: LoadBalancer, selector: {a: b}, ports: [{port: 80}, {port: 4840}]}}", "{kind: Service, metadata: {name: b}, spec: {type: ExternalName, externalName: a.b}}",
	"{kind: Service, metadata: {name: c}, spec: {type: NodePort, selector: {a: b}, ports: [{port: 80, nodePort: 4840}]}}",
	"{kind: Role, metadata: {name: a}, rules: [{apiGroups: ['', apps], resources: [pods, deployments], verbs: [get, list]}, {apiGroups: [''], resources: [pods], verbs: [list, watch]}]}",
	"{kind: ClusterRole, metadata: {name: RELEASE-b}, rules: [{apiGroups: [''], resources: [nodes], verbs: [get, list]}, {nonResourceURLs: [/metrics], verbs: [get]}]}",
	"{kind: ConfigMap, metadata: {name: d, annotations: {a.example/b: 'c: d'}, labels: {a.example/e: f}}}", "{kind: Ingress, metadata: {name: e}, spec: {rules: [{host: a.example}, {}]}}",
	"{kind: PersistentVolumeClaim, metadata: {name: f}, spec: {accessModes: [ReadWriteOnce], volumeName: disk, resources: {requests: {storage: 20Gi}}}}",
	"{kind: PersistentVolumeClaim, metadata: {name: g}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1234567}}}}", "{kind: Line, apiVersion: acme.example.com/v1, metadata: {name: h}}",
}

// What is proposed is accepted when it is pasted into a policy, and nothing of it
// is needless.
func TestKubernetesProposalIsEnoughAndNoMore(t *testing.T) {
	for n := range 40 {
		rng := rand.New(rand.NewPCG(2, uint64(n)))
		text, asks := "", 0
		for i := range n % 4 {
			pod, container := pick(rng, askedOfPods, &asks), pick(rng, askedOfContainers, &asks)
			kind := kindsOfWorkloads[rng.IntN(len(kindsOfWorkloads))]
			text += workload(kind, fmt.Sprintf("%s-w%d", release, i), pod, container) + "---\n"
		}
		for _, i := range rng.Perm(len(askedOfCharts))[:n%5] {
			text += strings.ReplaceAll(askedOfCharts[i], "RELEASE", release) + "\n---\n"
			asks++
		}
		if asks == 0 {
			continue
		}
		data := chart(t, strings.TrimSuffix(text, "---\n"))
		p, err := reserving(t, "{}").ProposeKubernetes(data)
		if err != nil || len(p.Never) > 0 {
			t.Fatalf("%v %q of\n%s", err, p.Never, text)
		}
		paste := must(p.Grants.YAML())
		if err := pasted(t, paste).CheckKubernetes(data); err != nil {
			t.Fatalf("%s\nthe proposal is refused: %v\n%s", text, err, paste)
		}
		for _, less := range withoutOne(t, paste) {
			if err := pasted(t, less).CheckKubernetes(data); !reason.Is(err, reason.Grant) {
				t.Fatalf("%s\n%v with less than was proposed:\n%s", text, err, less)
			}
		}
	}
}

func pick(rng *rand.Rand, of []string, asks *int) string {
	i := rng.IntN(len(of) + 1)
	if i == len(of) {
		return ""
	}
	*asks++
	return of[i]
}

func TestKubernetesProposalText(t *testing.T) {
	g := grantsOf(t, "kubernetes: {podSecurity: restricted, roles: {Role/web: {rules: [get pods]}}}")
	p, err := g.ProposeKubernetes(chart(t, workload("DaemonSet", release+"-reader", "volumes: [{name: v, hostPath: {path: /srv/a}}]", "securityContext: {capabilities: {drop: [ALL], add: [SYS_TIME]}, allowPrivilegeEscalation: false}")+
		"---\n"+rights("Role", "web", "{apiGroups: [''], resources: [pods], verbs: [list, get]}")+"\n---\n{kind: Namespace, metadata: {name: a}}"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `grants:
  kubernetes:
    podSecurity: restricted
    workloads:
      DaemonSet/RELEASE-reader:
        root: true
        defaultSeccomp: true
        capabilities:
          - SYS_TIME
        hostPaths:
          - /srv/a:ro
    roles:
      Role/web:
        rules:
          - get,list pods
`
	if got := must(p.Grants.YAML()); got != want {
		t.Errorf("proposed\n%s", got)
	}
	if len(p.Never) != 1 || !strings.Contains(p.Never[0], "Namespace/a (never granted") {
		t.Errorf("never: %q", p.Never)
	}
	if rules := g.Kubernetes.Roles["Role/web"].Rules; len(rules) != 1 || rules[0] != "get pods" {
		t.Errorf("the proposal changed what is granted: %q", rules)
	}
}

func TestKubernetesGrantsThatCannotBeGiven(t *testing.T) {
	for name, c := range map[string][2]string{
		"unknown grant":     {forWeb("priviledged: true"), `did you mean "privileged"?`},
		"unknown section":   {"kubernetes: {workload: {}}", "workload"},
		"level":             {"kubernetes: {podSecurity: privileged}", "podSecurity"},
		"level in capitals": {"kubernetes: {podSecurity: Restricted}", "podSecurity"},
		"any workload":      {"kubernetes: {workloads: {Deployment/*: {privileged: true}}}", "patterns"},
		"no kind":           {"kubernetes: {workloads: {web: {privileged: true}}}", "Kind/name"},
		"another kind":      {"kubernetes: {workloads: {ConfigMap/web: {privileged: true}}}", "Kind/name"},
		"release inside":    {"kubernetes: {workloads: {Pod/a-RELEASE: {privileged: true}}}", "Kind/name"},
		"all capabilities":  {forWeb("capabilities: [ALL]"), "capabilities[0]"},
		"the root":          {forWeb("hostPaths: ['/:ro']"), "hostPaths[0]"},
		"the kubelet":       {forWeb("hostPaths: ['/var/lib/kubelet:ro']"), "hostPaths[0]"},
		"the cluster's":     {forWeb("hostPaths: ['/etc/kubernetes:ro']"), "hostPaths[0]"},
		"the agent's":       {forWeb("hostPaths: ['/var/lib/consign:ro']"), "hostPaths[0]"},
		"below another":     {forWeb("hostPaths: ['/srv:rw', '/srv/a:ro']"), "hostPaths[1]"},
		"the kernel's":      {forWeb("sysctls: [kernel.core_pattern=x]"), "sysctls[0]"},
		"system priority":   {forWeb("priorityClasses: [system-cluster-critical]"), "priorityClasses[0]"},
		"profile":           {forWeb("securityOpt: [seccomp=/a.json]"), "securityOpt[0]"},
		"port range":        {forWeb("hostPorts: [80-90/tcp]"), "hostPorts[0]"},
		"any verb":          {"kubernetes: {roles: {Role/a: {rules: ['* pods']}}}", "rules[0]"},
		"any resource":      {"kubernetes: {roles: {Role/a: {rules: ['get *']}}}", "rules[0]"},
		"all secrets":       {"kubernetes: {roles: {Role/a: {rules: ['get secrets']}}}", "rules[0]"},
		"escalate":          {"kubernetes: {roles: {Role/a: {rules: ['escalate roles.rbac.authorization.k8s.io']}}}", "rules[0]"},
		"cluster's pods":    {"kubernetes: {roles: {ClusterRole/RELEASE: {rules: ['create pods']}}}", "rules[0]"},
		"cluster's exec":    {"kubernetes: {roles: {ClusterRole/RELEASE: {rules: ['get pods/exec']}}}", "rules[0]"},
		"cluster's secrets": {"kubernetes: {roles: {ClusterRole/RELEASE: {rules: ['get secrets[a]']}}}", "rules[0]"},
		"role of no kind":   {"kubernetes: {roles: {a: {rules: ['get pods']}}}", "Role/name"},
		"own kind":          {"kubernetes: {customKinds: {ValidatingWebhookConfiguration.admissionregistration.k8s.io: {}}}", "Kubernetes' own"},
		"own kind, core":    {"kubernetes: {customKinds: {Pod: {}}}", "customKinds"},
		"own kind, apps":    {"kubernetes: {customKinds: {Deployment.apps: {}}}", "customKinds"},
		"any custom kind":   {"kubernetes: {customKinds: {'*.acme.example.com': {}}}", "customKinds"},
		"image path":        {"kubernetes: {customKinds: {Line.acme.example.com: {imageFields: ['.spec']}}}", "imageFields[0]"},
		"image of metadata": {"kubernetes: {customKinds: {Line.acme.example.com: {imageFields: [metadata.name]}}}", "imageFields[0]"},
		"image path twice":  {"kubernetes: {customKinds: {Line.acme.example.com: {imageFields: [spec.a, spec.a]}}}", "twice"},
		"no image path":     {"kubernetes: {customKinds: {Line.acme.example.com: {imageFields: []}}}", "is empty"},
		"any reference":     {"kubernetes: {references: [Secret/*]}", "references[0]"},
		"another reference": {"kubernetes: {references: [Node/a]}", "references[0]"},
		"host by pattern":   {"kubernetes: {ingressHosts: ['a*.example']}", "ingressHosts[0]"},
		"annotation":        {"kubernetes: {annotations: [a]}", "annotations[0]"},
		"empty annotation":  {"kubernetes: {annotations: ['']}", "annotations[0]"},
		"many":              {"kubernetes: {references: [" + strings.Repeat("Secret/a, ", 257) + "]}", "at most 256"},
		"volumes":           {"limits: {volumes: '-1'}", "limits.volumes"},
	} {
		_, err := granting(t, "\n      "+c[0], "")
		if !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: got %v, want malformed with %q", name, err, c[1])
		}
	}
}

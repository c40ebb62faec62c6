package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

const (
	release   = "c0123456789-press"
	namespace = "press-7"
)

// apiVersions are those that a chart would name.
var apiVersions = map[string]string{
	"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1",
	"Ingress": "networking.k8s.io/v1", "NetworkPolicy": "networking.k8s.io/v1", "HorizontalPodAutoscaler": "autoscaling/v2", "PodDisruptionBudget": "policy/v1",
	"Lease": "coordination.k8s.io/v1", "Role": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1",
	"ClusterRole": "rbac.authorization.k8s.io/v1", "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
}

type tree = map[string]any

// objects reads YAML documents and adds what a render always has.
func objects(t testing.TB, text string) []tree {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(strings.ReplaceAll(text, "IMAGE", image)))
	var out []tree
	for {
		var o tree
		if err := dec.Decode(&o); err != nil {
			if len(out) == 0 {
				t.Fatalf("%v in\n%s", err, text)
			}
			return out
		}
		complete(o)
		out = append(out, o)
	}
}

func complete(o tree) {
	kind, _ := o["kind"].(string)
	if o["apiVersion"] == nil {
		o["apiVersion"] = "v1"
		if v := apiVersions[kind]; v != "" {
			o["apiVersion"] = v
		}
	}
	meta := child(o, "metadata")
	if !strings.HasPrefix(kind, "Cluster") && meta["namespace"] == nil {
		meta["namespace"] = namespace
	}
	child(meta, "labels")[task.LabelDeployment] = "d-1"
	for _, template := range templates(o) {
		child(child(template, "metadata"), "labels")[task.LabelDeployment] = "d-1"
	}
	for _, spec := range podSpecs(o) {
		for _, list := range []string{"containers", "initContainers"} {
			of, _ := spec[list].([]any)
			for _, c := range of {
				if c, ok := c.(tree); ok && c["resources"] == nil {
					c["resources"] = tree{"limits": tree{"cpu": "100m", "memory": "64Mi"}}
				}
			}
		}
	}
}

func child(of tree, name string) tree {
	c, ok := of[name].(tree)
	if !ok {
		c = tree{}
		of[name] = c
	}
	return c
}

func templates(o tree) []tree {
	spec, _ := o["spec"].(tree)
	if job, ok := spec["jobTemplate"].(tree); ok {
		spec, _ = job["spec"].(tree)
	}
	if template, ok := spec["template"].(tree); ok {
		return []tree{template}
	}
	return nil
}

func podSpecs(o tree) []tree {
	var out []tree
	if spec, ok := o["spec"].(tree); ok && o["kind"] == "Pod" {
		out = append(out, spec)
	}
	for _, template := range templates(o) {
		if spec, ok := template["spec"].(tree); ok {
			out = append(out, spec)
		}
	}
	return out
}

// rendered is a render of these objects.
func rendered(of []tree) []byte {
	list := make([]json.RawMessage, 0, len(of))
	for _, o := range of {
		list = append(list, must(json.Marshal(o)))
	}
	return must(json.Marshal(task.ChartRender{
		Release: release, Namespace: namespace, Chart: task.ChartID{Name: "press", Version: "1.0.0"}, Values: tree{}, Objects: list,
	}))
}

func chart(t testing.TB, text string) []byte { return rendered(objects(t, text)) }

func everyField(t testing.TB) []tree {
	return objects(t, string(must(os.ReadFile("testdata/kubernetes/every-field.yaml"))))
}

// everyGrant is what the objects of every-field.yaml need.
const everyGrant = `
compose: {}
limits: {volumes: 20g, storage: 2g, containers: 100}
kubernetes:
  annotations: [proxy.example.com/order=yes]
  ingressHosts: ["*", line.example.com]
  persistentVolumes: [disk-7]
  workloads:
    Deployment/web:
      privileged: true
      hostNetwork: true
      hostPid: true
      hostIpc: true
      unmaskedProc: true
      capabilities: [NET_ADMIN]
      hostPaths: ["/var/log/line:ro"]
      hostPorts: [8080/tcp]
      sysctls: [net.core.somaxconn=1024]
      securityOpt: [seccomp=unconfined, "label=type:spc_t", "label=user:sysadm_u", "label=role:sysadm_r"]
      extraHosts: [plc=10.0.0.9]
      dns: [10.0.0.1]
      dnsSearch: [plant.example]
      dnsOptions: ["ndots:1"]
      nodes: [node-1]
      tolerations: ["line=7:NoSchedule"]
      priorityClasses: [high]
      runtimeClasses: [kata]
      schedulers: [other]
      extendedResources: [nvidia.com/gpu]
      csiDrivers: [csi.example.com]
      nfs: ["nas.example:/line"]
      tokenAudiences: [vault]
  services:
    web: {loadBalancer: true, ports: [80/tcp], externalIPs: [192.0.2.1]}
  roles:
    Role/web: {rules: ["get secrets[web]"]}
    ClusterRole/RELEASE-nodes: {rules: [list nodes, get /metrics]}
`

// grantsOf reads grants as they stand in a policy.
func grantsOf(t testing.TB, text string) policy.Grants {
	t.Helper()
	g, err := granting(t, "\n      "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      "), "[4840/tcp, 30502/tcp]")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return g
}

func TestKubernetesAcceptsEveryFieldWithItsGrants(t *testing.T) {
	all := everyField(t)
	limit(all)
	if err := grantsOf(t, everyGrant).CheckKubernetes(rendered(all)); err != nil {
		t.Error(err)
	}
	p, err := grantsOf(t, "kubernetes: {}").ProposeKubernetes(rendered(all))
	if err != nil || len(p.Never) > 0 {
		t.Fatalf("%v %+v", err, p)
	}
	if err := p.Grants.CheckKubernetes(rendered(all)); err != nil {
		t.Errorf("with what was proposed: %v", err)
	}
}

// limit gives to every container a limit of its own files, which the grants demand.
func limit(all []tree) {
	for _, o := range all {
		for _, spec := range podSpecs(o) {
			for _, list := range []string{"containers", "initContainers"} {
				of, _ := spec[list].([]any)
				for _, c := range of {
					limits := child(child(c.(tree), "resources"), "limits")
					limits["ephemeral-storage"] = "1Gi"
				}
			}
		}
	}
}

func TestKubernetesAcceptsWhatIsHarmless(t *testing.T) {
	for name, text := range map[string]string{
		"a workload": deployment(""),
		"no objects": "",
		"nulls":      deployment("nodeSelector: null\nsecurityContext: null\nvolumes: null"),
		"the usual": deployment("serviceAccountName: web\nautomountServiceAccountToken: true\nvolumes: [{name: c, configMap: {name: "+release+"-config}}]") +
			"---\n{kind: ServiceAccount, metadata: {name: web}}\n---\n{kind: ConfigMap, metadata: {name: " + release + "-config, creationTimestamp: null}, data: {a: b}}\n",
		"a service":                "{kind: Service, metadata: {name: web}, spec: {selector: {a: b}, ports: [{port: 80, targetPort: 8080}]}}",
		"what the server fills in": deployment(serverDefaults),
		"headless":                 "{kind: Service, metadata: {name: web}, spec: {clusterIP: None, selector: {a: b}, ports: [{port: 80}]}}",
	} {
		data := rendered(nil)
		if text != "" {
			data = chart(t, text)
		}
		if err := (policy.Grants{}).CheckKubernetes(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// serverDefaults is what an API server adds to a pod that does not say it.
const serverDefaults = "dnsPolicy: ClusterFirst\nrestartPolicy: Always\nschedulerName: default-scheduler\nsecurityContext: {}\n" +
	"serviceAccount: default\nserviceAccountName: default\nterminationGracePeriodSeconds: 30\nenableServiceLinks: true\npreemptionPolicy: PreemptLowerPriority\n" +
	"tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}, {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]\n" +
	"initContainers: [{name: a, image: IMAGE, imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, " +
	"livenessProbe: {httpGet: {path: /, port: 80, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}}]\n" +
	"volumes: [{name: t, projected: {defaultMode: 420, sources: [{serviceAccountToken: {expirationSeconds: 3607, path: token}}, {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}, " +
	"{downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}}]}}, {name: e, emptyDir: {}}]"

// deployment is one named web, whose pods say the given lines.
func deployment(pod string) string { return workload("Deployment", "web", pod, "") }

// container is one whose container says the given lines.
func container(lines string) string { return workload("Deployment", "web", "", lines) }

var kindsOfWorkloads = []string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}

// workload is of any kind that makes pods.
func workload(kind, name, pod, container string) string {
	spec := "containers: [{name: main, image: IMAGE}]\n"
	if container != "" {
		spec = "containers:\n- name: main\n  image: IMAGE\n" + shift(container, 2)
	}
	spec += pod + "\n"
	template := "metadata: {labels: {app: " + name + "}}\nspec:\n" + shift(spec, 2)
	head := "kind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n"
	switch kind {
	case "Pod":
		return head + shift(spec, 2)
	case "Job":
		return head + "  template:\n" + shift(template, 4)
	case "CronJob":
		return head + "  schedule: '@daily'\n  concurrencyPolicy: Forbid\n  jobTemplate:\n    spec:\n      template:\n" + shift(template, 8)
	default:
		return head + "  selector: {matchLabels: {app: " + name + "}}\n  template:\n" + shift(template, 4)
	}
}

func shift(text string, n int) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+pad) + "\n"
}

// A field that is not listed is refused, wherever it stands. Some are tried at
// once, as many as one message names.
func TestAttackH5UnknownFieldAtEveryLevel(t *testing.T) {
	all := everyField(t)
	limit(all)
	g := grantsOf(t, everyGrant)
	tried := 0
	for i := range all {
		var places []tree
		eachObject(all[i], "", func(_ string, o tree) { places = append(places, o) })
		tried += len(places)
		for batch := range slices.Chunk(places, 10) {
			for n, o := range batch {
				o[fmt.Sprintf("unknownField%d", n)] = tree{"a": tree{}}
			}
			err := g.CheckKubernetes(rendered(all))
			for n, o := range batch {
				name := fmt.Sprintf("unknownField%d", n)
				delete(o, name)
				if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), name) {
					t.Errorf("in %v of %s: %v", o, all[i]["kind"], err)
				}
			}
		}
	}
	if tried < 300 {
		t.Errorf("tried %d places only", tried)
	}
}

func eachObject(v any, at string, do func(string, tree)) {
	switch v := v.(type) {
	case tree:
		do(at, v)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			eachObject(v[name], at+"."+name, do)
		}
	case []any:
		for i, e := range v {
			eachObject(e, fmt.Sprintf("%s[%d]", at, i), do)
		}
	}
}

// A value of the wrong type is refused, too; each name of a field is tried once.
func TestKubernetesRefusesEveryOtherType(t *testing.T) {
	all := everyField(t)
	limit(all)
	g := grantsOf(t, everyGrant)
	tried := map[string]bool{}
	for i := range all {
		eachObject(all[i], fmt.Sprint(all[i]["kind"]), func(at string, o tree) {
			for _, name := range slices.Sorted(maps.Keys(o)) {
				if tried[name] {
					continue
				}
				was := o[name]
				tried[name] = true
				o[name] = otherType(was)
				err := g.CheckKubernetes(rendered(all))
				o[name] = was
				if err == nil {
					t.Errorf("%s.%s: %v is accepted for %v", at, name, otherType(was), was)
				}
			}
		})
	}
}

func otherType(v any) any {
	switch v.(type) {
	case tree, []any:
		return "text"
	case string:
		return true
	default:
		return []any{tree{}}
	}
}

func TestKubernetesRendersThatAreNone(t *testing.T) {
	good := string(chart(t, deployment("")))
	for name, c := range map[string]struct {
		old, new string
		code     reason.Code
	}{
		"nothing":          {good, "", reason.Malformed},
		"null":             {good, "null", reason.Malformed},
		"a list":           {good, "[]", reason.Malformed},
		"unknown member":   {`"release"`, `"more":1,"release"`, reason.Malformed},
		"other case":       {`"release"`, `"Release"`, reason.Malformed},
		"member twice":     {`"release"`, `"release":"x","release"`, reason.Malformed},
		"field twice":      {`"replicas"`, `"kind":"Pod","replicas"`, reason.Malformed},
		"object is text":   {`"objects":[`, `"objects":["x",`, reason.Malformed},
		"object is null":   {`"objects":[`, `"objects":[null,`, reason.Malformed},
		"deep":             {`"objects":[`, `"objects":[` + strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50) + ",", reason.TooLarge},
		"trailing":         {good, good + "{}", reason.Malformed},
		"another release":  {release, "Press_1", reason.Grant},
		"long release":     {`"release":"` + release, `"release":"` + strings.Repeat("a", 54), reason.Grant},
		"everybody's":      {namespace, "default", reason.Grant},
		"the cluster's":    {namespace, "kube-system", reason.Grant},
		"no namespace":     {`"namespace":"` + namespace + `","objects"`, `"namespace":"","objects"`, reason.Grant},
		"number of images": {image, "5", reason.Grant},
	} {
		text := good
		if c.old == `"replicas"` {
			text = strings.Replace(good, `"kind":"Deployment"`, `"kind":"Deployment","kind":"Pod"`, 1)
		} else if text = strings.ReplaceAll(good, c.old, c.new); text == good {
			t.Fatalf("%s changes nothing", name)
		}
		if err := (policy.Grants{}).CheckKubernetes([]byte(text)); !reason.Is(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

// refusals checks that each text is refused with a message that says want.
func refusals(t *testing.T, g policy.Grants, cases map[string][2]string) {
	t.Helper()
	for name, c := range cases {
		err := g.CheckKubernetes(chart(t, c[0]))
		if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: got %v, want a refusal that says %q", name, err, c[1])
		}
	}
}

// No value that a parameter could fill is in what is logged.
func TestKubernetesRefusalsKeepValuesOutOfTheLog(t *testing.T) {
	const secret = "Tr0ub4dor-3"
	for _, text := range []string{
		container("env: [{name: A, value: [" + secret + "]}]"),
		container("args: [{a: " + secret + "}]"),
		"{kind: Secret, metadata: {name: a}, stringData: {" + secret + ": {a: " + secret + "}}}",
		"{kind: Secret, metadata: {name: a}, type: " + secret + "}",
		"{kind: ConfigMap, metadata: {name: a, annotations: {example.com/x: " + secret + ", y.example.com/" + secret + ": a}}}",
		"{kind: Service, metadata: {name: a}, spec: {type: ExternalName, externalName: " + secret + "}}",
		deployment("nodeName: " + secret + "\nhostname: " + secret + "\nnodeSelector: {" + secret + ": 1}"),
		"{kind: " + secret + ", metadata: {name: a}}",
		"{kind: ConfigMap, metadata: {name: " + secret + "}}",
		"{kind: ConfigMap, metadata: {name: a, labels: {" + secret + ": {}, b: {a: " + secret + "}}}}",
	} {
		var excess *policy.Excess
		err := (policy.Grants{}).CheckKubernetes(chart(t, text))
		if !errors.As(err, &excess) {
			t.Fatalf("%s: %v", text, err)
		}
		if strings.Contains(excess.LogText(), secret) {
			t.Errorf("%s: the log says %s", text, excess.LogText())
		}
		if strings.Contains(text, "kind: Secret") && strings.Contains(text, "stringData: {"+secret) && strings.Contains(excess.Error(), "a: "+secret) {
			t.Errorf("the terminal says %s", excess.Error())
		}
	}
}

func TestKubernetesImages(t *testing.T) {
	other := strings.Replace(image, "@sha256:0", "@sha256:1", 1)
	third := strings.Replace(image, "@sha256:0", "@sha256:2", 1)
	text := workload("CronJob", "a", "initContainers: [{name: b, image: "+other+"}]\nephemeralContainers: [{name: d, image: 'nginx:1'}]\nvolumes: [{name: v, image: {reference: "+third+"}}]", "") +
		"---\n{kind: Line, apiVersion: acme.example.com/v1, metadata: {name: l}, spec: {nodes: [{image: 'x:1'}, {image: 5}, {}], image: 'y:1'}}\n"
	g := grantsOf(t, "kubernetes: {customKinds: {Line.acme.example.com: {imageFields: ['spec.nodes[].image']}}}")
	want := []string{image, other, third, "5", "nginx:1", "x:1"}
	if got := must(g.KubernetesImages(chart(t, text))); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if f := g.ImageFields(); len(f) != 1 || f[0] != (task.ImageField{Group: "acme.example.com", Kind: "Line", Path: "spec.nodes[].image"}) {
		t.Errorf("%+v", f)
	}
	if _, err := g.KubernetesImages([]byte("{")); !reason.Is(err, reason.Malformed) {
		t.Errorf("no render: %v", err)
	}
}

func TestKubernetesDeployment(t *testing.T) {
	all := objects(t, deployment("")+"---\n{kind: ConfigMap, metadata: {name: a}}\n")
	if id, err := policy.KubernetesDeployment(rendered(all)); id != "d-1" || err != nil {
		t.Errorf("%q %v", id, err)
	}
	child(child(all[1], "metadata"), "labels")[task.LabelDeployment] = "d-2"
	for name, list := range map[string][]tree{"two": all, "none": nil} {
		if _, err := policy.KubernetesDeployment(rendered(list)); !reason.Is(err, reason.Render) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheckKubernetes(f *testing.F) {
	all := everyField(f)
	f.Add(rendered(all))
	f.Add(chart(f, container("securityContext: {privileged: true}\nports: [{containerPort: 80, hostPort: 80}]")))
	f.Add(chart(f, "{kind: Role, metadata: {name: a}, rules: [{apiGroups: ['*'], resources: [a/b], verbs: [get]}]}"))
	f.Add(chart(f, "{kind: Line, apiVersion: acme.example.com/v1, metadata: {name: l}, spec: {}}"))
	f.Add([]byte(`{"release":"a","namespace":"b","chart":{"name":"","version":""},"values":{},"objects":[{"kind":5,"metadata":[]},{"kind":"Pod","spec":{"containers":[null]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		images, failed := policy.Grants{}.KubernetesImages(data)
		err := (policy.Grants{}).CheckKubernetes(data)
		if err == nil {
			if failed != nil {
				t.Errorf("accepted, and no images: %v", failed)
			}
			for _, i := range images {
				if !strings.Contains(i, "@sha256:") {
					t.Errorf("accepted the image %q", i)
				}
			}
			var doc struct{ Objects []any }
			if err := json.Unmarshal(data, &doc); err != nil {
				t.Fatal(err)
			}
			eachObject(doc.Objects, "", func(at string, o tree) {
				for _, name := range []string{"privileged", "hostNetwork", "hostPID", "hostIPC"} {
					if o[name] == true {
						t.Errorf("accepted %s.%s", at, name)
					}
				}
				if _, ok := o["hostPath"].(tree); ok {
					t.Errorf("accepted %s.hostPath", at)
				}
			})
			return
		}
		if c := reason.Of(err); c != reason.Grant && c != reason.Malformed && c != reason.TooLarge {
			t.Errorf("refused as %q: %v", c, err)
		}
		p, err := (policy.Grants{}).ProposeKubernetes(data)
		if err == nil && len(p.Never)+p.More == 0 {
			if err := p.Grants.CheckKubernetes(data); err != nil {
				t.Errorf("with what was proposed: %v", err)
			}
		}
	})
}

// A chart of a hundred objects, most of them workloads.
func BenchmarkCheckKubernetes(b *testing.B) {
	var all []tree
	for i := range 30 {
		name := fmt.Sprintf("part-%d", i)
		all = append(all, objects(b, strings.ReplaceAll(deployment("serviceAccountName: NAME\nvolumes: [{name: c, configMap: {name: NAME}}]")+
			"---\n{kind: ConfigMap, metadata: {name: NAME}, data: {a: "+strings.Repeat("x", 4000)+"}}\n---\n{kind: ServiceAccount, metadata: {name: NAME}}\n"+
			"---\n{kind: Service, metadata: {name: NAME}, spec: {selector: {app: NAME}, ports: [{port: 80}]}}\n", "NAME", name))...)
		all[len(all)-4]["metadata"].(tree)["name"] = name
	}
	data := rendered(all)
	g := grantsOf(b, "limits: {containers: 100}")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := g.CheckKubernetes(data); err != nil {
			b.Fatal(err)
		}
	}
}

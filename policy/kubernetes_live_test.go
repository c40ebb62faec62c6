package policy_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// served is what the API server and its controllers write into any object.
const served = `uid: 5d0b
resourceVersion: "7"
generation: 2
creationTimestamp: "2026-11-26T14:00:00Z"
finalizers: [kubernetes.io/pvc-protection]
ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: 5d0c, controller: true}]
annotations: {meta.helm.sh/release-name: web, deployment.kubernetes.io/revision: "1"}`

// servedPod is what they write into a pod.
const servedPod = `nodeName: node
priority: 0
tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]
volumes:
- name: kube-api-access-x2x4z
  projected: {defaultMode: 420, sources: [{serviceAccountToken: {expirationSeconds: 3607, path: token}}, {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}, {downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}]}`

// live is an object as the cluster has it: text, with what is written into it.
func live(t testing.TB, owner, text, meta, spec string) task.LiveObject {
	t.Helper()
	o := objects(t, text)[0]
	for place, more := range map[string]string{"metadata": meta, "spec": spec} {
		var fields tree
		if err := yaml.Unmarshal([]byte(more), &fields); err != nil {
			t.Fatalf("%v in\n%s", err, more)
		}
		for key, value := range fields {
			if at, ok := value.(tree); ok && (key == "annotations" || key == "labels") {
				for k, v := range at {
					child(child(o, place), key)[k] = v
				}
				continue
			}
			child(o, place)[key] = value
		}
	}
	return task.LiveObject{Owner: owner, Object: must(json.Marshal(o))}
}

// podOf is a pod that a controller made.
func podOf(t testing.TB, owner, name, pod, container string) task.LiveObject {
	t.Helper()
	return live(t, owner, workload("Pod", name, pod, container), served, strings.TrimSpace(servedPod))
}

const liveService = "{kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}"

const liveSet = `kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: store
  selector: {matchLabels: {app: store}}
  template: {metadata: {labels: {app: store}}, spec: {containers: [{name: main, image: IMAGE, volumeMounts: [{name: data, mountPath: /data}]}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}]
`

// liveRender is what the objects of these tests were made from.
func liveRender(t testing.TB) []byte {
	t.Helper()
	return chart(t, deployment("")+"---\n"+liveService+"\n---\n"+liveSet)
}

// storePod is the pod that a StatefulSet makes, with its claim.
func storePod(t testing.TB, owner, claim string) task.LiveObject {
	t.Helper()
	o := live(t, owner, workload("Pod", "store-0", "", "volumeMounts: [{name: data, mountPath: /data}]"), served+"\nlabels: {statefulset.kubernetes.io/pod-name: store-0}",
		"nodeName: node\nvolumes: [{name: data, persistentVolumeClaim: {claimName: "+claim+"}}]")
	return o
}

func TestLiveObjectsWithinTheGrants(t *testing.T) {
	all := []task.LiveObject{
		live(t, "", deployment(""), served, "progressDeadlineSeconds: 600\nrevisionHistoryLimit: 10"),
		podOf(t, "Deployment/web", "web-1-x", "", ""),
		live(t, "", liveService, served, "clusterIP: 10.0.0.7\nclusterIPs: [10.0.0.7]\nipFamilies: [IPv4]\nipFamilyPolicy: SingleStack\nsessionAffinity: None\ntype: ClusterIP"),
		live(t, "", liveSet, served, ""),
		storePod(t, "StatefulSet/store", "data-store-0"),
		live(t, "", "{kind: PersistentVolumeClaim, metadata: {name: data-store-0, labels: {app: store}}, "+
			"spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}", served, "volumeName: pvc-1\nvolumeMode: Filesystem\nstorageClassName: local-path"),
	}
	if err := (policy.Grants{}).CheckKubernetesLive(liveRender(t), all); err != nil {
		t.Errorf("what an apply makes: %v", err)
	}
	if err := (policy.Grants{}).CheckKubernetesLive(liveRender(t), nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

// Each change by hand is found, and its grant covers it where there is one.
func TestLiveObjectsBeyondTheGrants(t *testing.T) {
	web := func(grant string) string { return "kubernetes: {workloads: {Deployment/web: {" + grant + "}}}" }
	tokenOf := strings.Replace(servedPod, "path: token", "audience: vault, path: token", 1)
	for name, c := range map[string]struct {
		object      task.LiveObject
		want, grant string
	}{
		"the host's network":   {live(t, "", deployment("hostNetwork: true"), served, ""), "hostNetwork", web("hostNetwork: true")},
		"in a made pod":        {podOf(t, "Deployment/web", "web-1-x", "hostNetwork: true", ""), "hostNetwork", web("hostNetwork: true")},
		"privileged":           {podOf(t, "Deployment/web", "web-1-x", "", "securityContext: {privileged: true}"), "privileged", web("privileged: true")},
		"a capability":         {podOf(t, "Deployment/web", "web-1-x", "", "securityContext: {capabilities: {add: [SYS_ADMIN]}}"), "SYS_ADMIN", web("capabilities: [SYS_ADMIN]")},
		"the host's processes": {podOf(t, "Deployment/web", "web-1-x", "hostPID: true", ""), "hostPID", web("hostPid: true")},
		"the host's files": {live(t, "Deployment/web", workload("Pod", "web-1-x", "", ""), served, "volumes: [{name: v, hostPath: {path: /srv/a}}]"),
			"hostPath", web(`hostPaths: ["/srv/a:rw"]`)},
		"a token for others":    {live(t, "Deployment/web", workload("Pod", "web-1-x", "", ""), served, tokenOf), "audience", web("tokenAudiences: [vault]")},
		"a secret as a token":   {live(t, "Deployment/web", workload("Pod", "web-1-x", "", ""), served, strings.Replace(servedPod, "kube-root-ca.crt", "other", 1)), "other", ""},
		"a port of the node":    {live(t, "", liveService, served, "type: NodePort\nports: [{port: 80, targetPort: 8080, nodePort: 31000}]"), "needs the grant nodePort", "kubernetes: {services: {web: {nodePort: true, ports: [31000/tcp]}}}"},
		"a tolerated taint":     {live(t, "Deployment/web", workload("Pod", "web-1-x", "", ""), served, "tolerations: [{operator: Exists}]"), "tolerations", ""},
		"another's claim":       {storePod(t, "StatefulSet/store", "theirs"), "theirs", ""},
		"a set's claim, forged": {storePod(t, "", "data-store-0"), "data-store-0", ""},
		"a kind of rights":      {live(t, "", "{kind: Role, metadata: {name: web}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]}", served, ""), "rules", "kubernetes: {roles: {Role/web: {rules: [get configmaps]}}}"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := []task.LiveObject{c.object}
			err := policy.Grants{}.CheckKubernetesLive(liveRender(t), seen)
			if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "what runs is not granted: ") || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want grant with %q", err, c.want)
			}
			if c.grant == "" {
				return
			}
			if err := grantsOf(t, c.grant).CheckKubernetesLive(liveRender(t), seen); err != nil {
				t.Errorf("with the grant: %v", err)
			}
			if !strings.Contains(c.grant, "Deployment/web") {
				return
			}
			if err := grantsOf(t, strings.Replace(c.grant, "Deployment/web", "Deployment/other", 1)).CheckKubernetesLive(liveRender(t), seen); !reason.Is(err, reason.Grant) {
				t.Errorf("with another's grant: %v", err)
			}
		})
	}
}

// A pod that nothing made has no grants but its own, whatever it calls itself.
func TestALivePodOfNobodyHasNoGrants(t *testing.T) {
	g := grantsOf(t, "kubernetes: {workloads: {Deployment/web: {hostNetwork: true}}}")
	for _, owner := range []string{"", "web", "Deployment/", "ConfigMap/web", "Other/web", "/"} {
		pod := podOf(t, owner, "web", "hostNetwork: true", "")
		if err := g.CheckKubernetesLive(liveRender(t), []task.LiveObject{pod}); !reason.Is(err, reason.Grant) {
			t.Errorf("owner %q: %v", owner, err)
		}
	}
}

func TestLiveObjectsAreBounded(t *testing.T) {
	one := live(t, "", liveService, served, "")
	many := make([]task.LiveObject, 2000)
	for i := range many {
		many[i] = one
	}
	if err := (policy.Grants{}).CheckKubernetesLive(liveRender(t), many); !reason.Is(err, reason.Grant) {
		t.Errorf("many: %v", err)
	}
	for _, text := range []string{"", "[]", "null", "{"} {
		if err := (policy.Grants{}).CheckKubernetesLive(liveRender(t), []task.LiveObject{{Object: []byte(text)}}); !reason.Is(err, reason.Internal) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := (policy.Grants{}).CheckKubernetesLive([]byte("{"), nil); err == nil {
		t.Error("a render that is none")
	}
}

// The namespace is held to what the render needs and no more, or to what the policy
// demands.
func TestPodSecurityLevel(t *testing.T) {
	plain := rendered(objects(t, liveLevelPod))
	privileged := rendered(objects(t, strings.Replace(liveLevelPod, "image: IMAGE", "image: IMAGE, securityContext: {privileged: true}", 1)))
	restricted := policy.Grants{}
	restricted.Kubernetes.PodSecurity = policy.Restricted
	for name, c := range map[string]struct {
		g      policy.Grants
		render []byte
		want   string
	}{
		"plain":      {policy.Grants{}, plain, "baseline"},
		"demanded":   {restricted, plain, "restricted"},
		"needs more": {policy.Grants{}, privileged, "privileged"},
	} {
		if got := c.g.PodSecurityLevel(c.render); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

const liveLevelPod = `{kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: IMAGE, resources: {limits: {cpu: 100m, memory: 64Mi}}}]}}`

// What stands beside a render by itself is told from what the render has and from
// what names an owner, whether the cluster knows that one or not.
func TestKubernetesRendered(t *testing.T) {
	all := []task.LiveObject{
		live(t, "", deployment(""), served, ""), live(t, "", liveService, "", ""),
		podOf(t, "Deployment/web", "web-1-x", "", ""), podOf(t, "", "orphan", "", ""), live(t, "", workload("Pod", "stray", "", ""), "", ""),
		live(t, "", strings.Replace(liveService, "name: web", "name: other", 1), "", ""),
	}
	rest, err := policy.Grants{}.KubernetesRendered(liveRender(t), all)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(rest, all[:4]) {
		t.Errorf("of %d objects %d are not beside the render, want the first four: %s", len(all), len(rest), rest)
	}
}

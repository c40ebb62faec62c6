package charts

import "github.com/consign-dev/consign/internal/reason"

// All are the charts of testdata/charts.
var All = []Chart{
	{Name: "backup", Lacks: storage},
	{
		Name: "database", Lacks: storage,
		Volatile: []string{"Secret/RELEASE/data/admin-password", "Secret/RELEASE/data/password"},
	},
	{
		Name:     "dashboard",
		Volatile: []string{"Deployment.apps/RELEASE/spec/template/metadata/annotations/checksum~1secret", "Secret/RELEASE/data/admin-password"},
	},
	{
		Name:     "generated-certificates",
		Volatile: []string{"ConfigMap/RELEASE-ca/data/ca.crt", "Secret/RELEASE-tls/data/ca.crt", "Secret/RELEASE-tls/data/tls.crt", "Secret/RELEASE-tls/data/tls.key"},
	},
	{Name: "library"},
	{
		Name: "message-queue",
		Volatile: []string{
			"Secret/RELEASE-clients/data/url", "Secret/RELEASE/stringData/cookie", "Secret/RELEASE/stringData/htpasswd", "Secret/RELEASE/stringData/password",
			"StatefulSet.apps/RELEASE/spec/template/metadata/annotations/checksum~1secrets",
		},
	},
	{Name: "subcharts", Volatile: []string{"Secret/RELEASE-store/stringData/password"}},

	{
		Name: "cluster-metrics", Planned: reason.Grant,
		Says: []string{`ClusterRole/RELEASE.rules[0] (needs the grant rules for "list nodes")`, `rules[1] (needs the grant rules for "watch deployments.apps")`},
		Grants: "roles: {ClusterRole/RELEASE: {rules: [" +
			`"list,watch deployments.apps", "list,watch nodes", "list,watch pods", "list,watch services"]}}`,
	},
	{
		Name: "log-collector", Planned: reason.Grant,
		Says: []string{
			"DaemonSet/RELEASE.spec.template.spec.hostNetwork (needs the grant hostNetwork)",
			`spec.volumes[1].hostPath.path (needs the grant hostPaths for "/var/log:ro")`,
			`ports[0].containerPort (needs the grant hostPorts for "8080/tcp")`, `tolerations[0] (needs the grant tolerations for "*:*")`,
		},
		Grants: `workloads: {DaemonSet/RELEASE: {hostNetwork: true, hostPaths: ["/var/log:ro"], hostPorts: ["8080/tcp"], tolerations: ["*:*"]}}`,
	},
	{
		Name: "operator", Planned: reason.Grant,
		Says: []string{`Role/RELEASE.rules[0] (needs the grant rules for "create services")`, `rules[2] (needs the grant rules for "get secrets[RELEASE-account]")`},
		Grants: `roles: {Role/RELEASE: {rules: ["create,get,list,update,watch configmaps", "create,get,list,update,watch services", ` +
			`"create,get,update leases.coordination.k8s.io", "get secrets[RELEASE-account]"]}}`,
	},
	{
		Name: "web-app", Planned: reason.Grant,
		Says: []string{
			`Ingress/RELEASE.metadata.annotations["nginx.ingress.kubernetes.io/ssl-redirect"] (needs the grant annotations for`,
			`spec.rules[0].host (needs the grant ingressHosts for "app.example.com")`, `spec.tls[0].secretName (needs the grant references for "Secret/RELEASE-tls")`,
		},
		Grants: `annotations: ["nginx.ingress.kubernetes.io/ssl-redirect=true"], ingressHosts: [app.example.com], references: [Secret/RELEASE-tls]`,
	},

	{
		Name: "cleanup", Planned: reason.Grant,
		Says: []string{"CronJob/RELEASE.spec.concurrencyPolicy (is missing; it must be Forbid or Replace, or jobs run beside those that have not ended)"},
	},
	{
		Name: "cluster-operator", Planned: reason.Grant,
		Says: []string{`ClusterRoleBinding/RELEASE.roleRef.name (must be a role of the same chart, not "cluster-admin")`},
	},
	{
		Name: "ingress-controller", Planned: reason.Grant,
		Says: []string{
			`ClusterRole/RELEASE.rules[0] (never granted: in every namespace it would be the secrets of others; a Role can have some by name, not "list secrets")`,
			"ClusterRole/RELEASE.rules[2] (never granted: cluster-wide, only custom kinds may be written",
			"IngressClass/proxy (never granted: it is the whole cluster's; the operator makes it", "Service/RELEASE.spec.type (needs the grant loadBalancer)",
		},
	},
	{
		Name: "metrics-api", Planned: reason.Grant,
		Says: []string{
			"APIService/v1beta1.metrics.k8s.io (never granted: it would see and change what others make)",
			`RoleBinding/RELEASE-auth-reader.metadata.namespace (must be the deployment's namespace, not "kube-system")`,
			"Deployment/RELEASE.spec.template.spec.priorityClassName (never granted",
		},
	},
	{
		Name: "node-exporter", Planned: reason.Grant,
		Says: []string{
			"DaemonSet/RELEASE.spec.template.spec.hostPID (needs the grant hostPid)", "hostPath.path (never granted: it is, holds or is part of /proc, which no host path reaches",
			"volumeMounts[2].mountPropagation (must be None",
		},
	},
	{
		Name: "old-api", Planned: reason.Grant,
		Says: []string{
			`Ingress/RELEASE.apiVersion (must be networking.k8s.io/v1, not "extensions/v1beta1")`, "PodSecurityPolicy/RELEASE (never granted: it does not exist any more)",
		},
	},
	{
		Name: "webhook", Planned: reason.Grant,
		Says: []string{"ValidatingWebhookConfiguration/RELEASE (never granted: it would see and change what others make)"},
	},

	{
		Name: "crds-directory", Packed: reason.Render,
		Says: []string{"chart crds-directory: crds/monitors.yaml: custom resource definitions in a chart are refused", "the cluster's operator installs them before"},
	},
	{
		Name: "crds-template", Packed: reason.Render,
		Says: []string{"CustomResourceDefinition.apiextensions.k8s.io/certificates.certs.example.com: kind: custom resource definitions in a chart are refused"},
	},
	{Name: "helm2", Packed: reason.Malformed, Says: []string{"Chart.yaml: apiVersion: want v2"}},
	{
		Name: "kept-volume", Packed: reason.Render,
		Says: []string{"PersistentVolumeClaim/release: metadata.annotations.helm.sh/resource-policy: the object would outlive its deployment"},
	},
	{
		Name: "migration-hook", Packed: reason.Render,
		Says: []string{`Job.batch/release-migrate: metadata.annotations.helm.sh/hook: hook "pre-install": Margo does not allow applications to rely on hooks: its work is for an init container`},
	},
	{
		Name: "random-name", Packed: reason.Render,
		Says: []string{"templates/job.yaml: the name of a Job is another one at each render: a name must stay what it is"},
	},
	{
		Name: "secret-lookup", Packed: reason.Render,
		Says: []string{"templates/_helpers.tpl: function lookup reads objects of a cluster: Margo does not allow", "passwords and certificates stay what they were without it"},
	},
	{
		Name: "unvendored", Packed: reason.Render,
		Says: []string{`chart unvendored: dependency "postgres" 15.x.x is not in charts/: run 'helm dependency build' before packing`},
	},
	{
		Name: "webhook-generated", Packed: reason.Render,
		Says: []string{"MutatingWebhookConfiguration.admissionregistration.k8s.io/release: /webhooks/0/clientConfig/caBundle: is another one at each render"},
	},
}

const storage = "a storage class"

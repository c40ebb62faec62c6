package policy

import (
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

var percentage = lazyregexp.New(`^(100|[0-9]{1,2})%$`)

// kubeService is reached from inside of the cluster; from outside by grant.
var kubeService = also(members(keysOf{
	"type":     granted("nodePort, loadBalancer, externalNames", oneOf("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")),
	"selector": harmless(mapOf(text)),
	"ports": granted("ports", listOf(members(keysOf{
		"name":        harmless(text),
		"protocol":    harmless(oneOf("TCP", "UDP", "SCTP")),
		"appProtocol": harmless(text),
		"port":        harmless(between(1, 65535)),
		"targetPort":  harmless(portOrName),
		"nodePort":    granted("ports", between(0, 65535)),
	}, "port"))),
	"clusterIP":                     harmless(oneOf("None", "")),
	"clusterIPs":                    harmless(listOf(oneOf("None"))),
	"externalIPs":                   granted("externalIPs", listOf(byEntry("externalIPs", plain))),
	"externalName":                  granted("externalNames", orEmpty(byEntry("externalNames", plain))),
	"loadBalancerIP":                granted("externalIPs", orEmpty(byEntry("externalIPs", plain))),
	"loadBalancerClass":             harmless(text),
	"loadBalancerSourceRanges":      harmless(listOf(text)),
	"allocateLoadBalancerNodePorts": harmless(flag),
	"healthCheckNodePort":           granted("ports", between(0, 65535)),
	"externalTrafficPolicy":         harmless(oneOf("Cluster", "Local", "")),
	"internalTrafficPolicy":         harmless(oneOf("Cluster", "Local")),
	"trafficDistribution":           harmless(text),
	"publishNotReadyAddresses":      harmless(flag),
	"sessionAffinity":               harmless(oneOf("None", "ClientIP", "")),
	"sessionAffinityConfig":         harmless(members(keysOf{"clientIP": harmless(members(keysOf{"timeoutSeconds": harmless(between(1, 86400))}))})),
	"ipFamilies":                    harmless(listOf(oneOf("IPv4", "IPv6"))),
	"ipFamilyPolicy":                harmless(oneOf("SingleStack", "PreferDualStack", "RequireDualStack", "")),
}), exposed)

// exposed asks for what is reached from outside, and its ports as for those of a
// machine (attack C10).
func exposed(w *walk, at place, service map[string]any) {
	kind := textOf(service["type"])
	switch kind {
	case "NodePort":
		w.want(at.key("type"), "nodePort", "")
	case "LoadBalancer":
		w.want(at.key("type"), "loadBalancer", "")
	}
	// A service without one serves what somebody else enters into it.
	if len(sub(service, "selector")) == 0 && kind != "ExternalName" {
		w.ask(at.key("selector"), "is missing", "")
	}
	for i, port := range each(service, "ports") {
		protocol := strings.ToLower(orText(port["protocol"], "TCP"))
		at := at.key("ports").index(i)
		w.portOfNode(at.key("nodePort"), port["nodePort"], protocol)
		if kind == "LoadBalancer" {
			w.portOfNode(at.key("port"), port["port"], protocol)
		}
	}
	w.portOfNode(at.key("healthCheckNodePort"), service["healthCheckNodePort"], "tcp")
}

func orText(v any, otherwise string) string {
	if s, ok := v.(string); ok {
		return s
	}
	return otherwise
}

// portOfNode wants a port that is low or reserved.
func (w *walk) portOfNode(at place, v any, protocol string) {
	if n, ok := whole(v); ok && n > 0 && (n < 1024 || w.grants.reserves(n, protocol)) {
		w.want(at, "ports", count(n)+"/"+protocol)
	}
}

// reserves reports whether the policy keeps a port for others.
func (g *Grants) reserves(n int64, protocol string) bool {
	return slices.ContainsFunc(g.ports, func(r portRange) bool { return r.protocol == protocol && n >= r.low && n <= r.high })
}

// ingressHost is wanted by name: the controller serves the hosts of all
// applications.
var ingressHost = rule{check: func(w *walk, at place, v any) {
	s, ok := v.(string)
	switch {
	case !ok:
		w.ask(at, "must be text", show(v))
	case s == "":
		w.wantFor(owner{section: sectionChart}, at, "ingressHosts", "*")
	default:
		w.wantFor(owner{section: sectionChart}, at, "ingressHosts", s)
	}
}}

var kubeBackend = members(keysOf{
	"service": harmless(members(keysOf{
		"name": harmless(kubeName),
		"port": harmless(members(keysOf{"name": harmless(text), "number": harmless(between(0, 65535))})),
	}, "name", "port")),
	"resource": never("a controller would take orders from it; say a service"),
})

// ingressPath is without what ends a word in the configuration of a proxy, into
// which controllers have written paths as they are.
var ingressPath = matching(`^(/[A-Za-z0-9._~%@:+*()/$|?-]*)?$`, "a path of letters, digits and ._~%@:+*()/$|?-")

var kubeIngress = also(members(keysOf{
	"ingressClassName": harmless(kubeName),
	"defaultBackend":   granted("ingressHosts", kubeBackend),
	"tls": granted("references, ingressHosts", listOf(members(keysOf{
		"hosts":      granted("ingressHosts", listOf(ingressHost)),
		"secretName": granted("references", secretName),
	}))),
	"rules": granted("ingressHosts", listOf(also(members(keysOf{
		"host": granted("ingressHosts", ingressHost),
		"http": harmless(members(keysOf{"paths": harmless(listOf(members(keysOf{
			"path":     harmless(ingressPath),
			"pathType": harmless(oneOf("Exact", "Prefix", "ImplementationSpecific")),
			"backend":  harmless(kubeBackend),
		}, "pathType", "backend")))}, "paths")),
	}), func(w *walk, at place, rule map[string]any) {
		if rule["host"] == nil {
			ingressHost.check(w, at.key("host"), "")
		}
	}))),
}), func(w *walk, at place, ingress map[string]any) {
	if ingress["defaultBackend"] != nil {
		ingressHost.check(w, at.key("defaultBackend"), "")
	}
})

// kubeNetworkPolicy lets through only what is of its own namespace's pods.
var kubeNetworkPolicy = members(keysOf{
	"podSelector": harmless(labelSelector),
	"policyTypes": harmless(listOf(oneOf("Ingress", "Egress"))),
	"ingress":     harmless(listOf(members(keysOf{"ports": harmless(listOf(kubePolicyPort)), "from": harmless(listOf(kubePeer))}))),
	"egress":      harmless(listOf(members(keysOf{"ports": harmless(listOf(kubePolicyPort)), "to": harmless(listOf(kubePeer))}))),
})

var kubePolicyPort = members(keysOf{
	"protocol": harmless(oneOf("TCP", "UDP", "SCTP")),
	"port":     harmless(portOrName),
	"endPort":  harmless(between(1, 65535)),
})

var kubePeer = members(keysOf{
	"podSelector":       harmless(labelSelector),
	"namespaceSelector": harmless(labelSelector),
	"ipBlock": harmless(members(keysOf{
		"cidr":   harmless(text),
		"except": harmless(listOf(text)),
	}, "cidr")),
})

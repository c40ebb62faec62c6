package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// nodeName is the only node's.
const nodeName = "node"

// startControl starts the control plane and waits until it takes requests.
func (n *nodeRunner) startControl(ctx context.Context) error {
	err := errors.Join(
		n.start("containerd", find("containerd"), "--config", "/run/containerd.toml"),
		n.kube("etcd", "--data-dir", "/var/lib/etcd", "--unsafe-no-fsync", "--log-level", "warn",
			"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
			"--listen-peer-urls", "http://127.0.0.1:2380"),
		n.kube("kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379",
			"--advertise-address", n.network.node(), "--secure-port", apiPort, "--service-cluster-ip-range", n.network.services(), "--allow-privileged=true",
			"--tls-cert-file", pki("apiserver.crt"), "--tls-private-key-file", pki("apiserver.key"), "--cert-dir", pki("apiserver"),
			"--client-ca-file", pki("ca.crt"), "--token-auth-file", pki("tokens.csv"), "--authorization-mode", "Node,RBAC",
			"--service-account-issuer", "https://kubernetes.default.svc",
			"--service-account-key-file", pki("accounts.pub"), "--service-account-signing-key-file", pki("accounts.key"),
			// The node's name is no name that can be looked up.
			"--kubelet-preferred-address-types", "InternalIP",
			"--kubelet-client-certificate", pki("kubelet-client.crt"), "--kubelet-client-key", pki("kubelet-client.key")),
	)
	if err != nil {
		return err
	}
	err = n.await(ctx, "kube-apiserver", func(ctx context.Context) error { return n.api.call(ctx, http.MethodGet, "/readyz", nil, nil) })
	if err != nil {
		return err
	}
	return errors.Join(
		n.kube("kube-controller-manager", append(credentials("kube-controller-manager"),
			"--use-service-account-credentials", "--service-account-private-key-file", pki("accounts.key"),
			"--root-ca-file", pki("ca.crt"), "--service-cluster-ip-range", n.network.services(),
			"--flex-volume-plugin-dir", "/run/volume-plugins")...),
		n.kube("kube-scheduler", credentials("kube-scheduler")...),
	)
}

// credentials are the arguments of a controller, which listens on loopback only.
func credentials(name string) []string {
	file := userConfig("system:" + name)
	return []string{
		"--kubeconfig", file, "--authentication-kubeconfig", file, "--authorization-kubeconfig", file,
		"--bind-address", "127.0.0.1", "--leader-elect=false", "--cert-dir", pki(name),
	}
}

// startNode starts the node's programs and waits until pods can be scheduled.
func (n *nodeRunner) startNode(ctx context.Context) error {
	err := errors.Join(
		n.allowProxy(ctx),
		n.kube("kubelet", "--config", "/run/kubelet.yaml", "--kubeconfig", userConfig(nodeUser), "--hostname-override", nodeName,
			"--node-ip", n.network.node(), "--cert-dir", pki("kubelet")),
		n.kube("kube-proxy", "--kubeconfig", userConfig(proxyUser), "--proxy-mode", "nftables", "--cluster-cidr", n.network.pods(),
			"--hostname-override", nodeName, "--nodeport-addresses", n.network.node()+"/32",
			// Else a pod would be answered past the packet filter by its neighbour on the bridge.
			"--masquerade-all",
			// The table of connections is the machine's, not the namespace's.
			"--conntrack-max-per-core", "0"),
	)
	if err != nil {
		return err
	}
	if err := n.await(ctx, "kubelet", n.nodeIsReady); err != nil {
		return err
	}
	return n.await(ctx, "kube-controller-manager", func(ctx context.Context) error {
		return n.api.call(ctx, http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", nil, nil)
	})
}

// allowProxy gives kube-proxy's user its role, which Kubernetes leaves to whoever
// sets up a cluster.
func (n *nodeRunner) allowProxy(ctx context.Context) error {
	const group = "rbac.authorization.k8s.io"
	return n.api.call(ctx, http.MethodPost, "/apis/"+group+"/v1/clusterrolebindings", map[string]any{
		"apiVersion": group + "/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "test:kube-proxy"},
		"roleRef":  map[string]any{"apiGroup": group, "kind": "ClusterRole", "name": "system:node-proxier"},
		"subjects": []any{map[string]any{"apiGroup": group, "kind": "User", "name": proxyUser}},
	}, nil)
}

func (n *nodeRunner) nodeIsReady(ctx context.Context) error {
	var node struct {
		Spec   struct{ Taints []struct{ Key string } }
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := n.api.call(ctx, http.MethodGet, "/api/v1/nodes/"+nodeName, nil, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" && len(node.Spec.Taints) == 0 {
			return nil
		}
	}
	return fmt.Errorf("node with taints %v and conditions %v", node.Spec.Taints, node.Status.Conditions)
}

// importPause puts the image of every pod's first process into containerd.
func (n *nodeRunner) importPause(ctx context.Context) error {
	err := n.await(ctx, "containerd", func(ctx context.Context) error { return exec.CommandContext(ctx, find("ctr"), "version").Run() })
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, find("ctr"), "--namespace", "k8s.io", "images", "import", "-")
	cmd.Env = append(os.Environ(), "CONTAINERD_ADDRESS="+containerd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() {
		written <- errors.Join(writeImage(in, "localhost/pause:1", filepath.Join(nodeTools, "pause")), in.Close())
	}()
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("ctr images import: %w: %s", err, out), <-written)
	}
	return <-written
}

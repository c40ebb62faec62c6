package doctor

import (
	"fmt"

	"github.com/consign-dev/consign/internal/reason"
)

func cluster(f Facts) []Finding {
	c := f.Cluster
	if c.Kubeconfig == "" {
		return nil
	}
	if c.Err != nil {
		return []Finding{failed(CheckCluster, c.Kubeconfig, c.Err,
			"see that the API server runs, that the file names its address and an account that it knows, and that the account may list nodes (docs/operations/kubernetes.md)")}
	}
	out := ok(CheckCluster, c.Kubeconfig, fmt.Sprintf("version %s, %d node(s)", c.Version, c.Nodes))
	switch {
	case c.Nodes > 1:
		out = fail(CheckCluster, c.Kubeconfig, reason.Ineligible, fmt.Sprintf("%s: images are served to the node that the agent runs on, and to no other", out.Found),
			"give each device a cluster of one node, which the agent runs on")
	case c.Nodes == 0:
		out = warn(CheckCluster, c.Kubeconfig, out.Found, "join this machine to the cluster as its node: nothing can run before")
	}
	out.Figures = map[string]int64{"nodes": int64(c.Nodes)}
	return []Finding{out}
}

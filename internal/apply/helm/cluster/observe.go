package cluster

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/consign-dev/consign/internal/apply/task"
)

// Observe says what runs of a release and how it differs from its render. It
// changes nothing.
func Observe(ctx context.Context, in task.ChartObserveInput) (task.ObserveResult, error) {
	o := owner{in.Release, in.Namespace, in.Deployment}
	var r *render
	var d delivery
	if len(in.Render) > 0 {
		var err error
		if r, err = readRender(in.Render, in.Digest, o); err != nil {
			return task.ObserveResult{}, err
		}
		if d, err = r.delivery(in.Secrets, true); err != nil {
			return task.ObserveResult{}, err
		}
	}
	c, err := connect(ctx, in.Kubeconfig)
	if err != nil {
		return task.ObserveResult{}, err
	}
	c.delivery = d
	h, err := c.helm(o)
	if err != nil {
		return task.ObserveResult{}, err
	}
	inv, err := c.inventory(ctx, o)
	if err != nil {
		return task.ObserveResult{}, err
	}
	var out task.ObserveResult
	if out.Services, out.Objects, err = c.live(ctx, h, inv); err != nil || r == nil {
		return out, err
	}
	out.Drift, out.Rotated, err = c.allDrift(ctx, o, r, inv, in.PodSecurity)
	return out, err
}

func (c *cluster) allDrift(ctx context.Context, o owner, r *render, inv *inventory, level string) (drift, rotated []string, err error) {
	first, err := c.checkLevel(ctx, o, level)
	if err != nil {
		return nil, nil, err
	}
	drift, rotated, err = c.drift(ctx, o, r, inv)
	if first != "" {
		drift = append([]string{first}, drift...)
	}
	return drift, rotated, err
}

// Info says what the cluster is and what charts may ask about it.
func Info(ctx context.Context, in task.ChartInfoInput) (task.ChartInfoResult, error) {
	c, err := connect(ctx, in.Kubeconfig)
	if err != nil {
		return task.ChartInfoResult{}, err
	}
	version, err := c.discovery.ServerVersion()
	if err != nil {
		return task.ChartInfoResult{}, clusterError("ask the cluster for its version", err)
	}
	out := task.ChartInfoResult{Capabilities: task.Capabilities{KubeVersion: version.GitVersion}}
	_, lists, err := c.discovery.ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		return out, clusterError("ask the cluster for its kinds", err)
	}
	for _, list := range lists {
		out.Capabilities.APIVersions = append(out.Capabilities.APIVersions, list.GroupVersion)
		for _, r := range list.APIResources {
			out.Capabilities.APIVersions = append(out.Capabilities.APIVersions, list.GroupVersion+"/"+r.Kind)
		}
	}
	slices.Sort(out.Capabilities.APIVersions)
	out.Capabilities.APIVersions = slices.Compact(out.Capabilities.APIVersions)
	known, err := c.objects.Resource(nodes).List(ctx, metav1.ListOptions{Limit: 100})
	if err != nil {
		return out, clusterError("list the cluster's nodes", err)
	}
	out.Nodes = len(known.Items)
	return out, nil
}

package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/consign-dev/consign/internal/apply/hostdir"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
)

// held is a claim of the deployment with the directory of this machine that its
// volume is.
type held struct {
	claim *corev1.PersistentVolumeClaim
	kind  string // of the volume: hostPath or local
	*hostdir.Dir
}

func rule(format string, args ...any) error { return reason.New(reason.Rule, format, args...) }

// bootID is what Linux calls the present run of a machine.
const bootID = "/proc/sys/kernel/random/boot_id"

// onThisMachine refuses a cluster whose node is another machine, or that has several: a
// volume's path would be that of somebody else's directory here.
func (c *cluster) onThisMachine(ctx context.Context, client kubernetes.Interface) error {
	if err := c.oneNode(ctx); err != nil {
		return err
	}
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return clusterError("list the cluster's nodes", err)
	}
	own, err := os.ReadFile(bootID)
	if err != nil {
		return err
	}
	for _, node := range list.Items {
		if node.Status.NodeInfo.BootID != strings.TrimSpace(string(own)) {
			return reason.New(reason.Ineligible, "the node %s is not this machine, so the data of its volumes is not here: run the agent on the node", node.Name)
		}
	}
	return nil
}

// hold opens the volumes of those of the deployment's claims that are wanted, sorted by
// the claims' names. Claims without a volume have no data, and those of a pod alone go
// with it. A volume whose data is not in a directory of its own is refused, with the
// claim's name, and so is one with the directory of the copies in it: it would hold its
// own copy, and lose it when it is emptied.
func hold(ctx context.Context, client kubernetes.Interface, o owner, copies string, wanted func(claim string) bool) (out []held, err error) {
	list, err := client.CoreV1().PersistentVolumeClaims(o.namespace).List(ctx, metav1.ListOptions{LabelSelector: o.selector()})
	if err != nil {
		return nil, clusterError("list the claims in "+o.namespace, err)
	}
	volumes, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, clusterError("list the cluster's volumes", err)
	}
	defer func() {
		if err != nil {
			closeAll(out)
		}
	}()
	for _, claim := range list.Items {
		if !wanted(claim.Name) || claim.Spec.VolumeName == "" || claim.DeletionTimestamp != nil || metav1.GetControllerOf(&claim) != nil {
			continue
		}
		one, err := open(&claim, volumes.Items, copies)
		if err != nil {
			return out, claimError(claim.Name, err)
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b held) int { return cmp.Compare(a.claim.Name, b.claim.Name) })
	return out, nil
}

func claimError(name string, err error) error {
	if err == nil {
		return nil
	}
	return reason.New(reason.Of(err), "the data of PersistentVolumeClaim/%s: %w", name, err)
}

func closeAll(list []held) {
	for _, h := range list {
		_ = h.Close()
	}
}

func open(claim *corev1.PersistentVolumeClaim, volumes []corev1.PersistentVolume, copies string) (held, error) {
	n := slices.IndexFunc(volumes, func(v corev1.PersistentVolume) bool { return v.Name == claim.Spec.VolumeName })
	if n < 0 {
		return held{}, rule("its volume %s is not there any more", claim.Spec.VolumeName)
	}
	v := &volumes[n]
	if ref := v.Spec.ClaimRef; ref == nil || ref.UID != claim.UID || ref.Namespace != claim.Namespace || ref.Name != claim.Name {
		return held{}, conflict("the volume %s is another claim's", v.Name)
	}
	kind, path := directory(v)
	if path == "" {
		return held{}, rule("its volume %s is of the kind %s, and only directories of this machine can be copied (hostPath, local): "+
			"let the cluster's storage make copies, and take dataPolicy out of the policy", v.Name, kind)
	}
	if err := apart(v.Name, path, volumes); err != nil {
		return held{}, err
	}
	dir, err := hostdir.Open(path)
	if err != nil {
		return held{}, err
	}
	inside, err := dir.Holds(copies)
	if err == nil && inside {
		err = rule("its directory %s holds the agent's own state (%s)", path, copies)
	}
	if err != nil {
		return held{}, errors.Join(err, dir.Close())
	}
	return held{claim, kind, dir}, nil
}

// directory is the kind of a volume, and the path of its directory if it is one.
func directory(v *corev1.PersistentVolume) (kind, path string) {
	raw, err := json.Marshal(v.Spec.PersistentVolumeSource)
	var sources map[string]json.RawMessage
	if err = errors.Join(err, json.Unmarshal(raw, &sources)); err != nil || len(sources) != 1 {
		return "that has no name", ""
	}
	kind = slices.Collect(maps.Keys(sources))[0]
	switch s := v.Spec.PersistentVolumeSource; {
	case v.Spec.VolumeMode != nil && *v.Spec.VolumeMode == corev1.PersistentVolumeBlock:
		return kind + " without a file system (Block)", ""
	case s.HostPath != nil:
		path = s.HostPath.Path
	case s.Local != nil:
		path = s.Local.Path
	}
	return kind, path
}

// apart refuses a volume whose directory is in that of another, or the reverse: to put
// the data of one back would be to change the other's.
func apart(name, path string, volumes []corev1.PersistentVolume) error {
	for _, other := range volumes {
		if _, its := directory(&other); its != "" && other.Name != name && (within(its, path) || within(path, its)) {
			return conflict("its directory %s is the volume %s's as well (%s)", path, other.Name, its)
		}
	}
	return nil
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(filepath.Clean(dir), filepath.Clean(path))
	return err == nil && filepath.IsLocal(rel)
}

// copyOf is the description of a claim's copy, but for what is in it.
func (h held) copyOf() task.Volume {
	return task.Volume{Project: h.claim.Namespace, Name: h.claim.Name, Driver: h.kind, Labels: h.claim.Labels}
}

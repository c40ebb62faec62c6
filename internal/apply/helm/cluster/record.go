package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	helmtime "helm.sh/helm/v3/pkg/time"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/consign-dev/consign/internal/reason"
)

// keptRecords is how many revisions of a release are kept for people who ask Helm
// for its history. Nothing here reads more than the last.
const keptRecords = 5

// recordType is the type of the Secrets that Helm keeps its records in.
const recordType = "helm.sh/release.v1"

// helm is Helm's SDK on one release.
type helm struct {
	owner
	config *action.Configuration
	client *kubernetes.Clientset
}

func (c *cluster) helm(o owner) (*helm, error) {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return nil, err
	}
	clusterClient := kube.New(getter{c})
	clusterClient.Namespace = o.namespace
	clusterClient.Log = func(string, ...any) {}
	records := storage.Init(driver.NewSecrets(client.CoreV1().Secrets(o.namespace)))
	records.MaxHistory = keptRecords
	return &helm{o, &action.Configuration{
		RESTClientGetter: getter{c}, Releases: records, KubeClient: clusterClient, Log: func(string, ...any) {},
		// No template of ours looks at them, and asking the cluster takes time.
		Capabilities: chartutil.DefaultCapabilities,
	}, client}, nil
}

// mend makes Helm's record of the release that of the last good render, so that
// what Helm compares with and removes is what we know to be there: the record is a
// Secret that others can write (attack H12), or is what a killed or failed change
// left (attack H13). before is nil where nothing good ran. note says what was found
// if no change of ours that ended can have left it.
func (h *helm) mend(ctx context.Context, before, target *render) (note string, err error) {
	last, err := h.config.Releases.Last(h.release)
	if err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return "", clusterError("read the record of release "+h.release, err)
	}
	want, err := h.recordOf(before)
	if err != nil {
		return "", err
	}
	if last != nil && want != nil && sameRecord(last, want) {
		return "", nil
	}
	if note, err = h.strange(last, before, target); err != nil {
		return "", err
	}
	return note, h.replaceRecords(ctx, want)
}

// replaceRecords leaves one record of the release, or none. The new one is there
// before the others go.
func (h *helm) replaceRecords(ctx context.Context, want *release.Release) error {
	names, version, err := h.recordNames(ctx)
	if err != nil {
		return err
	}
	if want != nil {
		if err := step("record"); err != nil {
			return err
		}
		want.Version = version + 1
		if err := h.config.Releases.Create(want); err != nil {
			return clusterError("write the record of release "+h.release, err)
		}
	}
	for _, name := range names {
		if err := step("forget"); err != nil {
			return err
		}
		err := h.client.CoreV1().Secrets(h.namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return clusterError("remove a record of release "+h.release, err)
		}
	}
	return nil
}

// recordNames are the Secrets with records of the release, told by their type and
// name, since anybody can change their labels, and the highest revision.
func (h *helm) recordNames(ctx context.Context) (names []string, version int, err error) {
	list, err := h.client.CoreV1().Secrets(h.namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + recordType})
	if err != nil {
		return nil, 0, clusterError("list the records of release "+h.release, err)
	}
	for _, secret := range list.Items {
		number, ours := strings.CutPrefix(secret.Name, storage.HelmStorageType+"."+h.release+".v")
		n, err := strconv.Atoi(number)
		if ours && err == nil {
			names, version = append(names, secret.Name), max(version, n)
		}
	}
	return names, version, nil
}

// strange says what is wrong with a record that no change of ours can have left.
func (h *helm) strange(last *release.Release, before, target *render) (string, error) {
	switch {
	case last == nil && before == nil:
		return "", nil
	case last == nil:
		return "the record of release " + h.release + " was gone and was written anew", nil
	case last.Info.Status.IsPending():
		return "the release " + h.release + " was left " + last.Info.Status.String() + " and was taken up", nil
	case last.Info.Status != release.StatusDeployed || before == nil:
		return "", nil // of a version that failed
	}
	wanted, err := h.recordOf(target)
	if err != nil || sameRecord(last, wanted) {
		return "", err // of a change that was made, and the agent was killed before it knew
	}
	return fmt.Sprintf("the record of release %s (revision %d) was not that of the last good version and was replaced", h.release, last.Version), nil
}

func sameRecord(a, b *release.Release) bool {
	return a.Info.Status == b.Info.Status && a.Manifest == b.Manifest && a.Namespace == b.Namespace &&
		len(a.Hooks) == 0 && a.Chart != nil && a.Chart.Name() == b.Chart.Name() && a.Chart.Metadata.Version == b.Chart.Metadata.Version
}

// recordOf is the record that Helm has of a render once it is installed.
func (h *helm) recordOf(r *render) (*release.Release, error) {
	if r == nil {
		return nil, nil
	}
	chart, err := literal(r)
	if err != nil {
		return nil, err
	}
	made, err := h.dry(r)
	if err != nil {
		return nil, err
	}
	now := helmtime.Now() // for people
	return &release.Release{
		Name: h.release, Namespace: h.namespace, Chart: chart, Config: r.Values, Manifest: made.Manifest,
		Info: &release.Info{FirstDeployed: now, LastDeployed: now, Status: release.StatusDeployed, Description: description(r)},
	}, nil
}

// dry has Helm make its manifest of a render without a cluster, and proves that it
// is the render.
func (h *helm) dry(r *render) (*release.Release, error) {
	chart, err := literal(r)
	if err != nil {
		return nil, err
	}
	config := &action.Configuration{Log: func(string, ...any) {}, Capabilities: chartutil.DefaultCapabilities}
	in := action.NewInstall(config)
	in.ClientOnly, in.DryRun, in.DryRunOption = true, true, "client"
	in.ReleaseName, in.Namespace, in.DisableHooks = h.release, h.namespace, true
	made, err := in.Run(chart, r.Values)
	if err != nil {
		return nil, reason.New(reason.Internal, "helm: read the render: %w", err)
	}
	return made, proveLiteral(r, made)
}

// description is what "helm history" says of a revision.
func description(r *render) string { return "deployment " + r.deployment }

package cluster

import (
	"context"
	"fmt"
	"math"
	"slices"
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
	"k8s.io/client-go/metadata"
)

// keptRecords is how many revisions of a release are kept for people who ask Helm
// for its history. Nothing here reads more than the last.
const keptRecords = 5

// recordType is the type of the Secrets that Helm keeps its records in.
const recordType = "helm.sh/release.v1"

// helm is Helm's SDK on one release.
type helm struct {
	owner
	component string // whose pods are looked at; "" for all of the deployment's
	config    *action.Configuration
	ledger    *ledger
	client    *kubernetes.Clientset
	names     metadata.Interface
}

func (c *cluster) helm(o owner) (*helm, error) {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return nil, err
	}
	names, err := metadata.NewForConfig(c.config)
	if err != nil {
		return nil, err
	}
	clusterClient := kube.New(getter{c})
	clusterClient.Namespace = o.namespace
	clusterClient.Log = func(string, ...any) {}
	l := newLedger(o.namespace, driver.NewSecrets(client.CoreV1().Secrets(o.namespace)))
	return &helm{owner: o, ledger: l, client: client, names: names, config: &action.Configuration{
		RESTClientGetter: getter{c}, Releases: storage.Init(l), KubeClient: stamping{clusterClient, &c.delivery}, Log: func(string, ...any) {},
		// No template of ours looks at them, and asking the cluster takes time.
		Capabilities: chartutil.DefaultCapabilities,
	}}, nil
}

// mend makes Helm's record of the release that of the last good render, so that
// what Helm compares with and removes is what we know to be there: the record is a
// Secret that others can write (attack H12), or is what a killed or failed change
// left (attack H13). before is nil where nothing good ran. note says what was found
// if no change of ours that ended can have left it.
func (h *helm) mend(ctx context.Context, before, target *render) (note string, err error) {
	history, err := h.history(ctx)
	if err != nil {
		return "", err
	}
	last, err := h.last(ctx, history)
	if err != nil {
		return "", err
	}
	want, err := h.recordOf(before)
	if err != nil {
		return "", err
	}
	if last != nil && want != nil && last.is(want) {
		want.Version, want.Info.FirstDeployed = last.Version, last.Info.FirstDeployed
		if err := h.ledger.know(history.last().Name, want); err != nil {
			return "", err
		}
		return "", h.forget(ctx, history.beyond(keptRecords-1))
	}
	if note, err = h.strange(len(history) > 0, last, before, target); err != nil {
		return "", err
	}
	return note, h.replaceRecords(ctx, history, want)
}

// replaceRecords leaves one record of the release, or none. The new one is there
// before the others go.
func (h *helm) replaceRecords(ctx context.Context, history history, want *release.Release) error {
	if want != nil {
		want.Version = history.version() + 1
		if err := h.config.Releases.Create(want); err != nil {
			return clusterError("write the record of release "+h.release, err)
		}
	}
	return h.forget(ctx, history)
}

func (h *helm) forget(ctx context.Context, these history) error {
	for _, one := range these {
		if err := step("forget"); err != nil {
			return err
		}
		err := h.client.CoreV1().Secrets(h.namespace).Delete(ctx, one.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return clusterError("remove a record of release "+h.release, err)
		}
	}
	return nil
}

// revision is a Secret that has the name of a record of the release, with the number
// in its name, 0 where that cannot be one of Helm's.
type revision struct {
	metav1.PartialObjectMetadata
	number int
}

// history are the revisions of a release, the last one last.
type history []revision

func (h history) last() revision { return h[len(h)-1] }

func (h history) version() int {
	if len(h) == 0 {
		return 0
	}
	return h.last().number
}

// beyond are all but the last n.
func (h history) beyond(n int) history { return h[:max(0, len(h)-n)] }

// history lists the records of the release, told by their names, since anybody can
// change their labels.
func (h *helm) history(ctx context.Context) (history, error) {
	list, err := h.names.Resource(secrets).Namespace(h.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, clusterError("list the records of release "+h.release, err)
	}
	return historyOf(h.release, list.Items), nil
}

func historyOf(release string, secrets []metav1.PartialObjectMetadata) history {
	var out history
	for _, secret := range secrets {
		number, ours := strings.CutPrefix(secret.Name, storage.HelmStorageType+"."+release+".v")
		if !ours {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || n == math.MaxInt32 {
			n = 0
		}
		out = append(out, revision{secret, int(n)})
	}
	slices.SortStableFunc(out, func(a, b revision) int { return a.number - b.number })
	return out
}

// last reads the last record; nil: there is none, or none that can be read.
func (h *helm) last(ctx context.Context, history history) (*record, error) {
	if len(history) == 0 {
		return nil, nil
	}
	secret, err := h.client.CoreV1().Secrets(h.namespace).Get(ctx, history.last().Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, clusterError("read the record of release "+h.release, err)
	}
	out, err := readRecord(secret.Data["release"])
	if err != nil || secret.Type != recordType || out.Version != history.version() {
		return nil, nil
	}
	return out, nil
}

// strange says what is wrong with a record that no change of ours can have left.
func (h *helm) strange(any bool, last *record, before, target *render) (string, error) {
	switch {
	case !any && before == nil:
		return "", nil
	case !any:
		return "the record of release " + h.release + " was gone and was written anew", nil
	case last == nil:
		return "the record of release " + h.release + " could not be read and was replaced", nil
	case last.Info.Status.IsPending():
		return "the release " + h.release + " was left " + last.Info.Status.String() + " and was taken up", nil
	case last.Info.Status != release.StatusDeployed || before == nil:
		return "", nil // of a version that failed
	}
	wanted, err := h.recordOf(target)
	if err != nil || last.is(wanted) {
		return "", err // of a change that was made, and the agent was killed before it knew
	}
	return fmt.Sprintf("the record of release %s (revision %d) was not that of the last good version and was replaced", h.release, last.Version), nil
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
	now := helmtime.Now() // for people
	return &release.Release{
		Name: h.release, Namespace: h.namespace, Chart: chart, Config: r.Values, Manifest: r.manifest,
		Info: &release.Info{FirstDeployed: now, LastDeployed: now, Status: release.StatusDeployed, Description: description(r)},
	}, nil
}

// description is what "helm history" says of a revision.
func description(r *render) string { return "deployment " + r.deployment }

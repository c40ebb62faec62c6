package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
)

const (
	// maxKubeconfig bounds the file: some clusters, each with certificates.
	maxKubeconfig = 1 << 20
	// connectTimeout is how long the API server may take for its first answer.
	connectTimeout = 15 * time.Second
	// requestTimeout bounds every request, also those that Helm makes without a
	// deadline of its own.
	requestTimeout = time.Minute
	// fieldManager is how the cluster calls us in what it records of changes.
	fieldManager = "consign"
)

// cluster is a connection to one API server.
type cluster struct {
	config    *rest.Config
	loader    clientcmd.ClientConfig
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.RESTMapper
	objects   dynamic.Interface
	delivery  // of the render that the task is about
}

// connect reads a kubeconfig file and asks the API server for its kinds. Nothing
// but the file says which cluster and which account: no environment, no home
// directory. A file that would start a program to get credentials is refused.
func connect(ctx context.Context, kubeconfig string) (*cluster, error) {
	loaded, err := loadKubeconfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	c := &cluster{loader: clientcmd.NewDefaultClientConfig(*loaded, &clientcmd.ConfigOverrides{})}
	if c.config, err = c.loader.ClientConfig(); err != nil {
		return nil, reason.New(reason.Malformed, "kubeconfig %s: %w", kubeconfig, err)
	}
	// The API server has its own fairness; this program makes some hundred requests.
	c.config.QPS, c.config.Burst, c.config.UserAgent = -1, 0, fieldManager
	c.config.Timeout, c.config.WarningHandler = requestTimeout, rest.NoWarnings{}
	client, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return nil, reason.New(reason.Malformed, "kubeconfig %s: %w", kubeconfig, err)
	}
	c.discovery = memory.NewMemCacheClient(client)
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(c.discovery)
	if c.objects, err = dynamic.NewForConfig(c.config); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	return c, c.reach(ctx, client)
}

func loadKubeconfig(path string) (*clientcmdapi.Config, error) {
	if !filepath.IsAbs(path) {
		return nil, reason.New(reason.Malformed, "kubeconfig %q: not an absolute path", path)
	}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.Load(data)
	if err != nil {
		return nil, reason.New(reason.Malformed, "kubeconfig %s: %w", path, err)
	}
	for name, user := range config.AuthInfos {
		if user.Exec != nil || user.AuthProvider != nil {
			return nil, reason.New(reason.Malformed, "kubeconfig %s: user %q gets its credentials from a program; give a certificate or a token file", path, name)
		}
		user.LocationOfOrigin = path
	}
	for name, known := range config.Clusters {
		if err := checkServer(known); err != nil {
			return nil, reason.New(reason.Malformed, "kubeconfig %s: cluster %q: %w", path, name, err)
		}
		known.LocationOfOrigin = path
	}
	return config, clientcmd.ResolveLocalPaths(config)
}

// checkServer refuses an API server that anybody on the way could be: what it says
// runs would be believed, and our credentials would go to it.
func checkServer(known *clientcmdapi.Cluster) error {
	if known.InsecureSkipTLSVerify {
		return errors.New("insecure-skip-tls-verify: give certificate-authority")
	}
	server, err := url.Parse(known.Server)
	if err != nil {
		return err
	}
	if server.Scheme == "https" || server.Scheme == "http" && isLoopback(server.Hostname()) {
		return nil
	}
	return fmt.Errorf("server %q: want https", server.Redacted())
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason.New(reason.Unreachable, "kubeconfig: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKubeconfig+1))
	if err != nil {
		return nil, reason.New(reason.Unreachable, "kubeconfig: %w", err)
	}
	if len(data) > maxKubeconfig {
		return nil, reason.New(reason.TooLarge, "kubeconfig %s: more than %d bytes", path, maxKubeconfig)
	}
	return data, nil
}

// reach asks for the server's version, so that a cluster that is down is found out
// before anything is done.
func (c *cluster) reach(ctx context.Context, client *discovery.DiscoveryClient) error {
	if err := step("connect"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := client.RESTClient().Get().AbsPath("/version").Do(ctx).Error(); err != nil {
		return reason.New(reason.Unreachable, "reach the cluster at %s: %w", c.config.Host, err)
	}
	return nil
}

// step passes the fault point of a request to the cluster.
func step(name string) error { return fault.Point("engine." + name) }

// isAway tells an error of the way to the server, or of a server that is not well,
// from what a server that is well says of a request.
func isAway(err error) bool {
	var way *url.Error
	return errors.As(err, &way) || apierrors.IsServerTimeout(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err)
}

// clusterError gives a failed request the reason unreachable when the server went
// away or does not know us, and otherwise says what was being done.
func clusterError(doing string, err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &status) && !meta.IsNoMatchError(err) && !errors.Is(err, context.DeadlineExceeded),
		isAway(err), apierrors.IsUnauthorized(err):
		return reason.New(reason.Unreachable, "%s: %w", doing, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// resource is where the objects of a kind are, and whether they live in namespaces.
func (c *cluster) resource(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	m, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		return nil, reason.New(reason.Ineligible, "the cluster does not know %s of %s: what defines it has to be there before", gvk.Kind, gvk.GroupVersion())
	}
	return m, clusterError("ask the cluster for its kinds", err)
}

// at is the interface to the objects of a mapping.
func (c *cluster) at(m *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.objects.Resource(m.Resource).Namespace(namespace)
	}
	return c.objects.Resource(m.Resource)
}

var (
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	nodes      = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	claims     = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
)

// oneNode refuses a cluster of several nodes: the images are served on the loopback
// address of this one.
func (c *cluster) oneNode(ctx context.Context) error {
	list, err := c.objects.Resource(nodes).List(ctx, metav1.ListOptions{Limit: 2})
	if err != nil {
		return clusterError("list the cluster's nodes", err)
	}
	if len(list.Items) > 1 {
		return reason.New(reason.Ineligible, "the cluster has several nodes: images are served to the node that the agent runs on, and to no other")
	}
	return nil
}

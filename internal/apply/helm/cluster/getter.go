package cluster

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// getter hands a connection to Helm, whose own would keep a cache of the cluster's
// kinds in the home directory.
type getter struct{ c *cluster }

func (g getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.c.config), nil }

func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.c.discovery, nil
}

func (g getter) ToRESTMapper() (meta.RESTMapper, error) { return g.c.mapper, nil }

func (g getter) ToRawKubeConfigLoader() clientcmd.ClientConfig { return g.c.loader }

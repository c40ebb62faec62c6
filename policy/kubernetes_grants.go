package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
)

// KubernetesGrants is what the objects of an application's Helm charts may ask
// for beyond what every application may: workloads of the Pod Security Standard
// "baseline" in one namespace, reachable from inside the cluster.
//
// A Helm release has another name on each device. In names of objects, RELEASE
// stands for it: RELEASE-web is the object that a chart calls
// {{ .Release.Name }}-web. No object of a cluster can be called so itself.
type KubernetesGrants struct {
	// PodSecurity is the level of the Pod Security Standards that every workload is
	// held to: [Baseline], the default, or [Restricted].
	PodSecurity string `yaml:"podSecurity,omitempty"`
	// Workloads are the grants of each workload by Kind/name.
	Workloads map[string]WorkloadGrants `yaml:"workloads,omitempty"`
	// Services are the grants of each Service by name.
	Services map[string]ExposureGrants `yaml:"services,omitempty"`
	// Roles are the rights at the API server by Role/name and ClusterRole/name.
	Roles map[string]RoleGrants `yaml:"roles,omitempty"`
	// CustomKinds are the kinds of objects that are not Kubernetes' own, by
	// Kind.group. What their controllers make of them is not judged.
	CustomKinds map[string]CustomKind `yaml:"customKinds,omitempty"`
	// ChartGrants are for all objects alike.
	ChartGrants `yaml:",inline"`
}

// The levels of [KubernetesGrants.PodSecurity].
const (
	Baseline   = "baseline"
	Restricted = "restricted"
)

// ChartGrants are grants for all objects of an application's charts.
type ChartGrants struct {
	// Annotations are name=value of annotations that some controller or runtime
	// may take for an order.
	Annotations []string `yaml:"annotations,omitempty"`
	// Labels are name=value of labels with a domain, for the same reason.
	Labels []string `yaml:"labels,omitempty"`
	// References are Kind/name of objects of the namespace that the chart does not
	// make itself but may use: ConfigMap, Secret, PersistentVolumeClaim and
	// ServiceAccount.
	References []string `yaml:"references,omitempty"`
	// IngressHosts are the host names of Ingresses; "*" is any host.
	IngressHosts []string `yaml:"ingressHosts,omitempty"`
	// PersistentVolumes are volumes of the cluster that a claim may ask for by name.
	PersistentVolumes []string `yaml:"persistentVolumes,omitempty"`
}

// CustomKind is a granted kind of custom object.
type CustomKind struct {
	// ImageFields are the paths of its fields that hold image references, as in
	// [task.ImageField].
	ImageFields []string `yaml:"imageFields,omitempty"`
}

// RoleGrants is what one Role or ClusterRole may allow its service accounts.
type RoleGrants struct {
	// Rules are "verbs resource": "get,list pods", "update deployments.apps/scale",
	// "get secrets[RELEASE-cert]"; in a ClusterRole also "get /metrics".
	Rules []string `yaml:"rules,omitempty"`
}

// ExposureGrants is how one Service may be reached from outside of the cluster.
type ExposureGrants struct {
	// NodePort: a port on every node.
	NodePort bool `yaml:"nodePort,omitempty"`
	// LoadBalancer: a port on whatever the cluster uses to balance load.
	LoadBalancer bool `yaml:"loadBalancer,omitempty"`
	// Ports are those below 1024 or reserved by the policy, such as 80/tcp.
	Ports []string `yaml:"ports,omitempty"`
	// ExternalIPs are addresses whose traffic the Service takes.
	ExternalIPs []string `yaml:"externalIPs,omitempty"`
	// ExternalNames are DNS names outside of the cluster that the Service stands for.
	ExternalNames []string `yaml:"externalNames,omitempty"`
}

// The sections of grants.kubernetes whose owners have names.
const (
	sectionWorkloads = "kubernetes.workloads"
	sectionServices  = "kubernetes.services"
	sectionRoles     = "kubernetes.roles"
	sectionCustom    = "kubernetes.customKinds"
	sectionChart     = "kubernetes"
)

// releaseWord stands for the name of the Helm release in grants.
const releaseWord = "RELEASE"

// A granted name is a DNS name, in which releaseWord may be the beginning.
const grantedName = `(` + releaseWord + `|(` + releaseWord + `-)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?)`

var (
	workloadKey = lazyregexp.New(`^(` + strings.Join(workloadKinds, "|") + `)/` + grantedName + `$`)
	serviceKey  = lazyregexp.New(`^` + grantedName + `$`)
	roleKey     = lazyregexp.New(`^(Role|ClusterRole)/` + grantedName + `$`)
	customKey   = lazyregexp.New(`^[A-Z][A-Za-z0-9]{0,62}\.[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$`)
	imagePath   = lazyregexp.New(`^[A-Za-z0-9_-]{1,63}(\[\])?(\.[A-Za-z0-9_-]{1,63}(\[\])?){0,15}$`)
)

var chartKinds = grantTable[ChartGrants]{
	"annotations": listKind(func(c *ChartGrants) *[]string { return &c.Annotations },
		`^[A-Za-z0-9]([A-Za-z0-9./_-]{0,315}[A-Za-z0-9])?=[^\x00-\x08\x0b-\x1f]*$`, "only name=value"),
	"labels": listKind(func(c *ChartGrants) *[]string { return &c.Labels },
		`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?=[A-Za-z0-9._-]{0,63}$`, "only domain/name=value"),
	"references": listKind(func(c *ChartGrants) *[]string { return &c.References },
		`^(ConfigMap|Secret|PersistentVolumeClaim|ServiceAccount)/`+grantedName+`$`,
		"only Kind/name of a ConfigMap, Secret, PersistentVolumeClaim or ServiceAccount"),
	"ingressHosts": listKind(func(c *ChartGrants) *[]string { return &c.IngressHosts },
		`^(\*|(\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?)$`, "only a host name, or * for any host"),
	"persistentVolumes": listKind(func(c *ChartGrants) *[]string { return &c.PersistentVolumes },
		`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`, "only the name of a volume of the cluster"),
}

var exposureKinds = grantTable[ExposureGrants]{
	"nodePort":     flagKind(func(e *ExposureGrants) *bool { return &e.NodePort }),
	"loadBalancer": flagKind(func(e *ExposureGrants) *bool { return &e.LoadBalancer }),
	"ports":        {list: func(e *ExposureGrants) *[]string { return &e.Ports }, fault: portFault},
	"externalIPs":  listKind(func(e *ExposureGrants) *[]string { return &e.ExternalIPs }, `^[0-9A-Fa-f.:]{2,45}$`, "only an IP address"),
	"externalNames": listKind(func(e *ExposureGrants) *[]string { return &e.ExternalNames },
		`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`, "only a DNS name"),
}

func (k *KubernetesGrants) holder(o owner) (holder, func()) {
	switch o.section {
	case sectionWorkloads:
		return heldBy(&k.Workloads, o.name, workloadTable)
	case sectionServices:
		return heldBy(&k.Services, o.name, exposureKinds)
	case sectionRoles:
		return heldBy(&k.Roles, o.name, tableOfRole(o.name))
	case sectionCustom:
		return customHolder{k, o.name}, func() {}
	default:
		return held[ChartGrants]{chartKinds, &k.ChartGrants}, func() {}
	}
}

// customHolder: an entry under customKinds is a grant by being there.
type customHolder struct {
	all  *KubernetesGrants
	name string
}

func (h customHolder) fault(_, _ string) string { return customFault(h.name) }
func (h customHolder) listed(_ string) bool     { return false }

func (h customHolder) covered(_, _ string) bool {
	_, ok := h.all.CustomKinds[h.name]
	return ok
}

func (h customHolder) add(_, _ string) {
	if h.all.CustomKinds == nil {
		h.all.CustomKinds = map[string]CustomKind{}
	}
	h.all.CustomKinds[h.name] = CustomKind{}
}

// ownGroups are groups of *.k8s.io whose kinds are custom ones of namespaces.
var ownGroups = []string{"gateway.networking.k8s.io", "snapshot.storage.k8s.io"}

// customFault says why a kind, as Kind.group, cannot be granted: Kubernetes' own
// are judged field by field or not at all.
func customFault(name string) string {
	_, group, _ := strings.Cut(name, ".")
	reserved := false
	for _, domain := range []string{"k8s.io", "kubernetes.io"} {
		reserved = reserved || group == domain || strings.HasSuffix(group, "."+domain)
	}
	switch {
	case !customKey.MatchString(name):
		return "only Kind.group of a custom kind, such as ServiceMonitor.monitoring.coreos.com"
	case reserved && !slices.Contains(ownGroups, group):
		return "the group is Kubernetes' own"
	}
	return ""
}

// ImageFields are the fields of granted custom kinds that hold images, sorted.
func (g Grants) ImageFields() []task.ImageField {
	var out []task.ImageField
	for name, custom := range g.Kubernetes.CustomKinds {
		kind, group, _ := strings.Cut(name, ".")
		for _, path := range custom.ImageFields {
			out = append(out, task.ImageField{Group: group, Kind: kind, Path: path})
		}
	}
	slices.SortFunc(out, func(a, b task.ImageField) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path))
	})
	return out
}

func (k KubernetesGrants) empty() bool {
	return k.PodSecurity == "" && len(k.Workloads)+len(k.Services)+len(k.Roles)+len(k.CustomKinds)+
		len(k.Annotations)+len(k.Labels)+len(k.References)+len(k.IngressHosts)+len(k.PersistentVolumes) == 0
}

// clone shares no list or map with k.
func (k KubernetesGrants) clone() KubernetesGrants {
	k.Workloads = workloadTable.cloneAll(k.Workloads)
	k.Services = exposureKinds.cloneAll(k.Services)
	k.Roles = roleTable.cloneAll(k.Roles)
	k.CustomKinds = maps.Clone(k.CustomKinds) // a proposal changes no list of an entry
	k.ChartGrants = chartKinds.clone(k.ChartGrants)
	return k
}

func (k KubernetesGrants) validate() error {
	if !slices.Contains([]string{"", Baseline, Restricted}, k.PodSecurity) {
		return fmt.Errorf("podSecurity: %.100q is neither %q nor %q", k.PodSecurity, Baseline, Restricted)
	}
	if err := chartKinds.validate(&k.ChartGrants); err != nil {
		return err
	}
	return cmp.Or(
		validateAll("workloads", "Kind/name of a workload", k.Workloads, workloadKey, oneTable(workloadTable)),
		k.validatePaths(),
		validateAll("services", "the name of a Service", k.Services, serviceKey, oneTable(exposureKinds)),
		validateAll("roles", "Role/name or ClusterRole/name", k.Roles, roleKey, tableOfRole),
		k.validateCustom(),
	)
}

func validateAll[T any](section, want string, all map[string]T, key *lazyregexp.Regexp, table func(name string) grantTable[T]) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !key.MatchString(name) {
			return fmt.Errorf("%s: %.300q is not %s; patterns are not allowed", section, name, want)
		}
		s := all[name]
		if err := table(name).validate(&s); err != nil {
			return fmt.Errorf("%s.%s.%w", section, name, err)
		}
	}
	return nil
}

func oneTable[T any](t grantTable[T]) func(string) grantTable[T] {
	return func(string) grantTable[T] { return t }
}

func (k KubernetesGrants) validatePaths() error {
	for _, name := range slices.Sorted(maps.Keys(k.Workloads)) {
		if err := nestedPaths(k.Workloads[name].HostPaths); err != nil {
			return fmt.Errorf("workloads.%s.%w", name, err)
		}
	}
	return nil
}

func (k KubernetesGrants) validateCustom() error {
	for _, name := range slices.Sorted(maps.Keys(k.CustomKinds)) {
		if fault := customFault(name); fault != "" {
			return fmt.Errorf("customKinds: %.300q: %s", name, fault)
		}
		if err := k.CustomKinds[name].validate(); err != nil {
			return fmt.Errorf("customKinds.%s.%w", name, err)
		}
	}
	return nil
}

func (c CustomKind) validate() error {
	if len(c.ImageFields) > maxGrants {
		return fmt.Errorf("imageFields: %d entries, at most %d", len(c.ImageFields), maxGrants)
	}
	for i, path := range c.ImageFields {
		if !imagePath.MatchString(path) || strings.HasPrefix(path, "metadata") {
			return fmt.Errorf("imageFields[%d]: %.200q is not the path of a field, such as spec.nodes[].image", i, path)
		}
		if slices.Contains(c.ImageFields[:i], path) {
			return fmt.Errorf("imageFields[%d]: %.200q is there twice", i, path)
		}
	}
	if len(c.ImageFields) == 0 && c.ImageFields != nil {
		return errors.New("imageFields: is empty: leave it out, or say which fields hold images")
	}
	return nil
}

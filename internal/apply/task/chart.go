package task

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
)

// Annotations on every object that Consign makes in a cluster. LabelDeployment is
// a label there, too; names of components and devices may be longer than the
// value of a label.
const (
	AnnotationComponent = LabelComponent
	AnnotationDevice    = LabelDevice
)

// ControllersAnnotations begin the annotations that Kubernetes' own controllers put on
// objects. They are no doing of an application's or of a person's.
var ControllersAnnotations = []string{
	"deployment.kubernetes.io/", "deprecated.daemonset.template.generation", "pv.kubernetes.io/", "volume.kubernetes.io/",
	"volume.beta.kubernetes.io/", "batch.kubernetes.io/", "autoscaling.alpha.kubernetes.io/", "endpoints.kubernetes.io/",
}

// MaxChart bounds a chart archive. With a render of [MaxRender] beside it, both in
// base64, it fits a request.
const MaxChart = 8 << 20

// ChartInput asks for the exact objects that a Helm chart makes with given
// values. Nothing else enters the render: no cluster, no network, no clock that
// would be kept.
type ChartInput struct {
	// Chart is the chart archive (.tgz) as its digest was checked.
	Chart []byte `json:"chart"`
	// Release is the Helm release name: a DNS label of at most 53 bytes.
	Release string `json:"release"`
	// Namespace is the one namespace of the deployment.
	Namespace string `json:"namespace"`
	// Values are what was ordered, by Margo's pointer into values.yaml
	// (docs/spec/helm.md says which types they have).
	Values map[string]json.RawMessage `json:"values"`
	// Secrets are the names of the device's secrets, by the pointer at which the chart
	// wants the name of the Secret that holds one ([SecretObject]).
	Secrets map[string]string `json:"secrets,omitempty"`
	// Images maps each image reference of the bundle, in normal form, to the
	// reference by digest that replaces it.
	Images map[string]string `json:"images"`
	// ImageFields are the fields of custom kinds that a grant names as those of
	// images.
	ImageFields []ImageField `json:"imageFields,omitempty"`
	// Labels and Annotations are put on every object and every pod template.
	// LabelDeployment is required.
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	// Limits are for the containers that name none themselves.
	Limits Limits `json:"limits"`
	// Capabilities are the device's.
	Capabilities Capabilities `json:"capabilities"`
	// Previous is the render that was installed last, nil at a first install. Its
	// volatile fields are carried over.
	Previous []byte `json:"previous,omitempty"`
}

// Capabilities are what a chart sees as .Capabilities.
type Capabilities struct {
	// KubeVersion is the server's version, such as v1.37.2.
	KubeVersion string `json:"kubeVersion"`
	// APIVersions are group/version and group/version/Kind, sorted.
	APIVersions []string `json:"apiVersions"`
}

// ImageField is a field that holds an image reference.
type ImageField struct {
	// Group and Kind are those of the custom resource; Path is the field's, with
	// dots and, for every element of a list, "[]": spec.nodes[].image.
	Group string `json:"group"`
	Kind  string `json:"kind"`
	Path  string `json:"path"`
}

// ChartRender is the exact set of objects of one chart: what is checked, logged
// by its digest, kept and applied. Its encoding is JSON with sorted keys (as the
// fields here are) and without white space; the same input gives the same bytes,
// but for the values of volatile fields that Previous does not have. So a render
// that is given back as Previous, with nothing else changed, comes out again.
type ChartRender struct {
	Chart     ChartID `json:"chart"`
	Namespace string  `json:"namespace"`
	// Objects are whole Kubernetes objects, in the order in which Helm installs
	// kinds, then by name.
	Objects []json.RawMessage `json:"objects"`
	Release string            `json:"release"`
	// Secrets are the names of the device's secrets that the chart gets, sorted, each
	// once. What is in them is no part of a render: it is in the Secrets that
	// [SecretObject] names.
	Secrets []string `json:"secrets,omitempty"`
	// Values are those of the order, as a tree.
	Values map[string]any `json:"values"`
	// Volatile are the fields that two renders of the same input differ in, without
	// Kept, which depends on what was there before.
	Volatile []VolatileField `json:"volatile,omitempty"`
}

// ChartID names a chart.
type ChartID struct {
	AppVersion string `json:"appVersion,omitempty"`
	Name       string `json:"name"`
	Version    string `json:"version"`
}

// VolatileField is a field whose value a chart makes anew at every render, such
// as a password. Its value is in the objects and is told to nobody.
type VolatileField struct {
	// Field is a JSON pointer (RFC 6901) into the object.
	Field string `json:"field"`
	// Kept says that the value is that of the render before.
	Kept bool `json:"kept,omitempty"`
	// Object is kind/name or kind.group/name. An object in another namespace than
	// the render's has it between the two: kind/namespace/name.
	Object string `json:"object"`
}

// ChartResult is a render of a chart.
type ChartResult struct {
	// Render is a [ChartRender] as JSON and Digest its sha256 digest.
	Render []byte        `json:"render"`
	Digest digest.Digest `json:"digest"`
	// Images are the references by digest that the objects name, sorted, each once.
	Images []string `json:"images"`
	// Defaulted are the places that were filled from Limits, sorted.
	Defaulted []string `json:"defaulted,omitempty"`
	// Tests are the objects that are left out because they are test hooks, sorted.
	Tests []string `json:"tests,omitempty"`
	// Volatile are those of the render, with Kept.
	Volatile []VolatileField `json:"volatile,omitempty"`
}

// ChartImagesInput asks which images a chart names with given values. The fields
// are those of [ChartInput].
type ChartImagesInput struct {
	Chart        []byte                     `json:"chart"`
	Release      string                     `json:"release"`
	Namespace    string                     `json:"namespace"`
	Values       map[string]json.RawMessage `json:"values"`
	ImageFields  []ImageField               `json:"imageFields,omitempty"`
	Capabilities Capabilities               `json:"capabilities"`
}

// ChartImagesResult says what a bundle with the chart has to contain.
type ChartImagesResult struct {
	Chart ChartID `json:"chart"`
	// Images are references in normal form, sorted, each once.
	Images []string `json:"images"`
}

// ChartApplyInput asks to make a cluster run a render of a chart.
type ChartApplyInput struct {
	// Kubeconfig is the absolute path of the file that says where the cluster is and
	// who we are there. The environment is never asked.
	Kubeconfig string `json:"kubeconfig"`
	// Release and Namespace must be the render's; Deployment is the value of
	// LabelDeployment on what may be touched.
	Release    string `json:"release"`
	Namespace  string `json:"namespace"`
	Deployment string `json:"deployment"`
	// Render is ChartResult.Render and Digest its digest. The bytes are hashed again
	// before anything is done.
	Render []byte        `json:"render"`
	Digest digest.Digest `json:"digest"`
	// Images is ChartResult.Images.
	Images []string `json:"images"`
	// Before is the render that ran as the last good one, with its digest; empty when
	// nothing good ran under the name.
	Before       []byte        `json:"before,omitempty"`
	BeforeDigest digest.Digest `json:"beforeDigest,omitempty"`
	// Secrets are those that the render names, by name.
	Secrets map[string]Secret `json:"secrets,omitempty"`
	// PodSecurity is the level of the Pod Security Standards that the namespace is
	// held to: privileged, baseline or restricted.
	PodSecurity string `json:"podSecurity"`
	// Wait asks for everything to be ready before success is reported. Without it,
	// success means that the cluster has the objects.
	Wait bool `json:"wait"`
	// TimeoutSeconds bounds the whole task.
	TimeoutSeconds int `json:"timeoutSeconds"`
}

// ChartObserveInput asks what runs of a release. The fields are those of
// [ChartApplyInput]; with Render, the result lists the differences.
type ChartObserveInput struct {
	Kubeconfig  string        `json:"kubeconfig"`
	Release     string        `json:"release"`
	Namespace   string        `json:"namespace"`
	Deployment  string        `json:"deployment"`
	Render      []byte        `json:"render,omitempty"`
	Digest      digest.Digest `json:"digest,omitempty"`
	PodSecurity string        `json:"podSecurity,omitempty"`
	// Secrets are those of the secrets that Render names which can be read now.
	Secrets map[string]Secret `json:"secrets,omitempty"`
}

// ChartRemoveInput asks to take a release away.
type ChartRemoveInput struct {
	Kubeconfig string `json:"kubeconfig"`
	Release    string `json:"release"`
	Namespace  string `json:"namespace"`
	Deployment string `json:"deployment"`
	// Volumes asks to delete the claims, and so their data, too.
	Volumes bool `json:"volumes"`
	// TimeoutSeconds bounds the whole task.
	TimeoutSeconds int `json:"timeoutSeconds"`
}

// ChartInfoInput asks what a cluster is.
type ChartInfoInput struct {
	Kubeconfig string `json:"kubeconfig"`
}

// ChartInfoResult describes a cluster.
type ChartInfoResult struct {
	// Capabilities are what charts see of it.
	Capabilities Capabilities `json:"capabilities"`
	// Nodes counts the nodes, up to 100.
	Nodes int `json:"nodes"`
}

// LiveObject is an object as the cluster has it.
type LiveObject struct {
	// Owner is kind/name of the object for which a controller made this one, "" if
	// none did.
	Owner string `json:"owner,omitempty"`
	// Object is the object as JSON, without its status and without the values of
	// Secrets and ConfigMaps.
	Object []byte `json:"object"`
}

// ChartSnapshotInput asks to copy the data of the claims of a deployment. The fields
// are those of [SnapshotInput]; all components of a deployment have one namespace.
type ChartSnapshotInput struct {
	Kubeconfig     string `json:"kubeconfig"`
	Namespace      string `json:"namespace"`
	Deployment     string `json:"deployment"`
	Dir            string `json:"dir"`
	Room           int64  `json:"room"`
	TimeoutSeconds int    `json:"timeoutSeconds"`
}

// ChartRestoreInput asks to put copies back: what uses the claims is stopped, and
// their volumes are emptied and filled.
type ChartRestoreInput struct {
	Kubeconfig     string   `json:"kubeconfig"`
	Namespace      string   `json:"namespace"`
	Deployment     string   `json:"deployment"`
	Dir            string   `json:"dir"`
	Volumes        []Volume `json:"volumes"`
	TimeoutSeconds int      `json:"timeoutSeconds"`
}

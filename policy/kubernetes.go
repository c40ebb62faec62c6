package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// What the objects of a Helm chart may say (Kubernetes API 1.37). As for Compose,
// the tables are the policy: a kind or field that is in none of them is refused.
// Before marking a field harmless, show that no value of it reaches beyond the
// deployment's own namespace and the container.

// maxObjects bounds one chart's render.
const maxObjects = 512

// CheckKubernetes decides whether the objects of one Helm chart stay within the
// grants. render is a [task.ChartRender]: exactly the objects that will be
// applied. What is neither harmless nor granted is refused with reason grant, in
// one message that names every such field (an [Excess]); bytes that are not such
// a document have reason malformed or too-large.
//
// Every object and pod template bears the label of one deployment; that it is the
// right one ([KubernetesDeployment]), and that the images are those of the bundle
// ([Grants.KubernetesImages]), is for the caller.
func (g Grants) CheckKubernetes(render []byte) error {
	w, err := g.walkChart(render)
	if err != nil {
		return err
	}
	return w.refusal("the application asks for what is not granted: ")
}

// chart is what the walk over a render knows of all its objects.
type chart struct {
	release, namespace string
	deployment         string // value of the label on the first object
	restricted         bool   // the level of the Pod Security Standards
	// objects are those of the render by Kind/name, of the known kinds.
	objects map[string]map[string]any
	// delivered are the names of the Secrets with which secrets of the device reach
	// the chart.
	delivered map[string]bool
	// userNamespace says that the pod which is looked at has users of its own.
	userNamespace bool
}

func (g Grants) walkChart(render []byte) (*walk, error) {
	doc, objects, err := readRender(render)
	if err != nil {
		return nil, err
	}
	w := g.chartWalk(doc)
	w.deviceSecrets(doc.Secrets)
	w.render(objects)
	return w, nil
}

// chartWalk is a walk that has seen no object yet.
func (g Grants) chartWalk(doc *chartDocument) *walk {
	w := newWalk(g, nil)
	w.chart = &chart{
		release: doc.Release, namespace: doc.Namespace, restricted: g.Kubernetes.PodSecurity == Restricted,
		objects: map[string]map[string]any{}, delivered: map[string]bool{},
	}
	for _, name := range doc.Secrets {
		w.chart.delivered[task.SecretObject(doc.Release, name)] = true
	}
	return w
}

// chartDocument is a [task.ChartRender] whose objects are trees.
type chartDocument struct {
	Chart     task.ChartID         `json:"chart"`
	Namespace string               `json:"namespace"`
	Objects   []map[string]any     `json:"objects"`
	Release   string               `json:"release"`
	Secrets   []string             `json:"secrets,omitempty"`
	Values    map[string]any       `json:"values"`
	Volatile  []task.VolatileField `json:"volatile,omitempty"`
}

// readRender takes a render apart.
func readRender(render []byte) (*chartDocument, []map[string]any, error) {
	var doc chartDocument
	if err := strictjson.UnmarshalNumbers(render, &doc, task.RenderLimits); err != nil {
		return nil, nil, fmt.Errorf("chart render: %w", err)
	}
	for i, o := range doc.Objects {
		if o == nil {
			return nil, nil, reason.New(reason.Malformed, "chart render: objects[%d] is not a JSON object", i)
		}
	}
	return &doc, doc.Objects, nil
}

func (w *walk) render(objects []map[string]any) {
	root := place{}
	if !word(w.chart.release, maxRelease, false, "-") {
		w.ask(root.key("release"), "must be a DNS label of at most 53 bytes", show(w.chart.release))
	}
	// Everybody's, and the cluster's own.
	if n := w.chart.namespace; !dnsLabel(n) || n == "default" || strings.HasPrefix(n, "kube-") {
		w.ask(root.key("namespace"), "must be a namespace of the deployment's own", show(n))
	}
	if len(objects) > maxObjects {
		w.ask(root.key("objects"), fmt.Sprintf("%d of them, at most %d", len(objects), maxObjects), "")
		return
	}
	for i, o := range objects {
		w.enter(root.key("objects").index(i), o)
	}
	for i, o := range objects {
		w.object(root.key("objects").index(i), o)
	}
	w.growth()
}

// deviceSecrets judges the names of the device's secrets. That the order gives them
// to this component is for the caller.
func (w *walk) deviceSecrets(names []string) {
	at := place{}.key("secrets")
	if len(names) > margo.MaxSecrets {
		w.ask(at, fmt.Sprintf("%d of them, at most %d", len(names), margo.MaxSecrets), "")
	}
	for i, name := range names {
		if !margo.ValidSecretName(name) || i > 0 && names[i-1] >= name {
			w.ask(at.index(i), "must be the name of a secret of the device, sorted and once", show(name))
		}
	}
}

// enter makes an object known to the others.
func (w *walk) enter(at place, o map[string]any) {
	id := identity(o)
	if name, ok := strings.CutPrefix(id, "Secret/"); ok && w.chart.delivered[name] {
		w.ask(at, "has the name of the Secret that holds a secret of the device", show(id))
	}
	if _, dup := w.chart.objects[id]; dup {
		w.ask(at, "is the second object of this kind and name", show(id))
	}
	w.chart.objects[id] = o
}

// identity is Kind/name, or Kind.group/name of a custom kind.
func identity(o map[string]any) string {
	kind, _ := o["kind"].(string)
	name := objectNameOf(o)
	apiVersion, _ := o["apiVersion"].(string)
	if slices.Contains(kubernetesKinds[kind].versions, apiVersion) {
		return kind + "/" + name
	}
	return kind + "." + groupOf(apiVersion) + "/" + name
}

func objectNameOf(o map[string]any) string {
	meta, _ := o["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return name
}

// has reports whether the render makes an object, or the agent makes it for the render.
func (w *walk) has(kind, name string) bool {
	_, ok := w.chart.objects[kind+"/"+name]
	return ok || kind == "Secret" && w.chart.delivered[name]
}

// spelt is a name as grants have it.
func (w *walk) spelt(name string) string {
	if rest, ok := strings.CutPrefix(name, w.chart.release); ok && (rest == "" || rest[0] == '-') {
		return releaseWord + rest
	}
	return name
}

// object judges one object by the table of its kind.
func (w *walk) object(at place, o map[string]any) {
	kind, _ := o["kind"].(string)
	apiVersion, _ := o["apiVersion"].(string)
	at = w.objectPlace(at, kind, groupOf(apiVersion), objectNameOf(o))
	known, ok := kubernetesKinds[kind]
	switch {
	case ok && slices.Contains(known.versions, apiVersion):
		w.owner = known.owner(w.spelt(objectNameOf(o)))
		known.rule.check(w, at, o)
		w.owner = owner{}
	case neverKinds[kind] != "" && !custom(groupOf(apiVersion)):
		w.ask(at, "never granted: "+neverKinds[kind], "")
	case ok && !custom(groupOf(apiVersion)):
		w.ask(at.key("apiVersion"), "must be "+strings.Join(known.versions, " or "), show(apiVersion))
	default:
		w.customObject(at, kind, groupOf(apiVersion), o)
	}
}

func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}

var plainKind = lazyregexp.New(`^[A-Z][A-Za-z0-9]{0,62}$`)

// objectPlace names an object as people do, where its name is one. In logs only
// kinds that are known are named.
func (w *walk) objectPlace(at place, kind, group, name string) place {
	if !plainKind.MatchString(kind) || !plainObject(name) {
		return at
	}
	full := kind + "/" + name
	_, known := kubernetesKinds[kind]
	_, granted := w.grants.Kubernetes.CustomKinds[kind+"."+group]
	if known || granted || neverKinds[kind] != "" {
		return place{full, full, name}
	}
	return place{full, at.log, name}
}

// customObject: of a kind that is not Kubernetes' own only the metadata and the
// images are judged.
func (w *walk) customObject(at place, kind, group string, o map[string]any) {
	name := kind + "." + group
	if fault := customFault(name); fault != "" {
		w.ask(at, "no kind that an application may make", show(kind))
		return
	}
	w.wantFor(owner{sectionCustom, name}, at, "customKinds", "")
	namespacedMeta.check(w, at.key("metadata"), o["metadata"])
	if _, ok := o["status"]; ok {
		w.ask(at.key("status"), "never granted: it is the controller's", "")
	}
	for _, path := range w.grants.Kubernetes.CustomKinds[name].ImageFields {
		for _, image := range atPath(at, o, strings.Split(path, ".")) {
			kubeImage.check(w, image.at, image.value)
		}
	}
}

type found struct {
	at    place
	value any
}

// atPath follows the path of an image field.
func atPath(at place, v any, steps []string) []found {
	if len(steps) == 0 {
		return []found{{at, v}}
	}
	name, many := strings.CutSuffix(steps[0], "[]")
	object, _ := v.(map[string]any)
	member, ok := object[name]
	switch list, isList := member.([]any); {
	case !ok || member == nil:
		return nil
	case !many:
		return atPath(at.key(name), member, steps[1:])
	case !isList:
		return []found{{at.key(name), member}} // and so no image
	default:
		var out []found
		for i, e := range list {
			out = append(out, atPath(at.key(name).index(i), e, steps[1:])...)
		}
		return out
	}
}

// KubernetesImages returns every image that the objects of a render name, sorted,
// each once: those of containers and image volumes, and those in the fields of
// custom kinds that the grants name. It does not judge the render.
func (g Grants) KubernetesImages(render []byte) ([]string, error) {
	_, objects, err := readRender(render)
	if err != nil {
		return nil, err
	}
	return g.imagesOfAll(objects), nil
}

func (g Grants) imagesOfAll(objects []map[string]any) []string {
	seen := map[string]bool{}
	for _, o := range objects {
		for _, image := range g.imagesOf(o) {
			seen[image] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func (g Grants) imagesOf(o map[string]any) []string {
	kind, _ := o["kind"].(string)
	apiVersion, _ := o["apiVersion"].(string)
	var paths []string
	if template := podSpecPath[kind]; template != "" && !custom(groupOf(apiVersion)) {
		for _, list := range []string{"containers[].image", "initContainers[].image", "ephemeralContainers[].image", "volumes[].image.reference"} {
			paths = append(paths, template+"."+list)
		}
	} else {
		paths = g.Kubernetes.CustomKinds[kind+"."+groupOf(apiVersion)].ImageFields
	}
	var out []string
	for _, path := range paths {
		for _, f := range atPath(place{}, o, strings.Split(path, ".")) {
			image, ok := f.value.(string)
			if !ok {
				image = show(f.value) // no image of any bundle
			}
			out = append(out, image)
		}
	}
	return out
}

// KubernetesDeployment returns the value of [task.LabelDeployment] that every
// object of a render bears. A render in which they differ, or without objects,
// has reason render.
func KubernetesDeployment(render []byte) (string, error) {
	_, objects, err := readRender(render)
	if err != nil {
		return "", err
	}
	return deploymentOf(objects)
}

func deploymentOf(objects []map[string]any) (string, error) {
	var one string
	for i, o := range objects {
		meta, _ := o["metadata"].(map[string]any)
		labels, _ := meta["labels"].(map[string]any)
		value, _ := labels[task.LabelDeployment].(string)
		if value == "" || i > 0 && value != one {
			return "", reason.New(reason.Render, "objects[%d] bears the label %s %q, the first %q", i, task.LabelDeployment, value, one)
		}
		one = value
	}
	if one == "" {
		return "", reason.New(reason.Render, "the render has no objects")
	}
	return one, nil
}

// members is fields for objects of Kubernetes, in which null is as good as absent.
func members(keys keysOf, required ...string) rule {
	out := fields(keys, required...)
	check := out.check
	out.check = func(w *walk, at place, v any) {
		if object, ok := v.(map[string]any); ok {
			v = withoutNull(keys, object)
		}
		check(w, at, v)
	}
	return out
}

func withoutNull(keys keysOf, object map[string]any) map[string]any {
	var nulls bool
	for name, v := range object {
		_, known := keys[name]
		nulls = nulls || v == nil && known
	}
	if !nulls {
		return object
	}
	out := maps.Clone(object)
	maps.DeleteFunc(out, func(name string, v any) bool { _, known := keys[name]; return v == nil && known })
	return out
}

// sub is a member that is an object; nil if it is none.
func sub(object map[string]any, path ...string) map[string]any {
	for _, name := range path {
		object, _ = object[name].(map[string]any)
	}
	return object
}

// each is the objects of a member that is a list.
func each(object map[string]any, name string) []map[string]any {
	list, _ := object[name].([]any)
	var out []map[string]any
	for _, v := range list {
		o, _ := v.(map[string]any)
		out = append(out, o)
	}
	return out
}

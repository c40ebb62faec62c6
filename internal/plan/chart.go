package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/verify"
)

// chartSection is where the objects of a chart stand in a [project], by kind and
// name.
const chartSection = "objects"

// anew stands in the place of a volatile value while two renders are compared:
// the device keeps what it has.
const anew = "made anew"

// Volatile is a field that a chart makes anew at every render, such as a password.
// A device keeps the value of its first install.
type Volatile struct {
	Component string `json:"component"`
	Object    string `json:"object"`
	// Field is a JSON pointer into the object.
	Field string `json:"field"`
}

func listVolatile(renders []verify.Render) []Volatile {
	out := []Volatile{}
	for _, r := range renders {
		for _, f := range r.Volatile {
			out = append(out, Volatile{r.Component, f.Object, f.Field})
		}
	}
	return out
}

// chartProject gives the objects of a chart the shape of a project, with the Secrets
// that the device makes for it.
func (p project) chartProject(r verify.Render) project {
	if r.Type != bundle.Helm {
		return p
	}
	objects := map[string]any{}
	list, _ := p["objects"].([]any)
	for _, entry := range list {
		if o, ok := entry.(map[string]any); ok {
			objects[objectName(o)] = o
		}
	}
	release, _ := p["release"].(string)
	secrets, _ := p["secrets"].([]any)
	for _, entry := range secrets {
		if name, ok := entry.(string); ok {
			o := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": task.SecretObject(release, name)}}
			objects[objectName(o)] = o
		}
	}
	for _, f := range r.Volatile {
		blank(objects[f.Object], strings.Split(strings.TrimPrefix(f.Field, "/"), "/"))
	}
	return project{chartSection: objects}
}

// objectName is kind/name, or kind.group/name, as in [task.VolatileField].
func objectName(o map[string]any) string {
	kind, _ := o["kind"].(string)
	version, _ := o["apiVersion"].(string)
	if group, _, ok := strings.Cut(version, "/"); ok {
		kind += "." + group
	}
	meta, _ := o["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return kind + "/" + name
}

// blank puts anew where a JSON pointer leads (RFC 6901).
func blank(tree any, path []string) {
	if len(path) == 0 {
		return
	}
	key := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	last := len(path) == 1
	switch t := tree.(type) {
	case map[string]any:
		if last {
			t[key] = anew
			return
		}
		blank(t[key], path[1:])
	case []any:
		n, err := strconv.Atoi(key)
		if err != nil || n < 0 || n >= len(t) {
			return
		}
		if last {
			t[n] = anew
			return
		}
		blank(t[n], path[1:])
	}
}

// chartObject is an object of a chart as a plan lists it.
func chartObject(component string, content any, references map[string]string) Object {
	o, _ := content.(map[string]any)
	kind, name, _ := strings.Cut(objectName(o), "/")
	out := Object{Component: component, Kind: kind, Name: name, Image: strings.Join(imagesIn(o, references), ", ")}
	if spec, ok := o["spec"].(map[string]any); ok {
		if n, ok := spec["replicas"]; ok {
			out.describeReplicas(n)
		}
	}
	return out
}

// imagesIn are the references of the images that stand anywhere in an object.
func imagesIn(tree any, references map[string]string) []string {
	var out []string
	add := func(list ...string) {
		for _, ref := range list {
			if !slices.Contains(out, ref) {
				out = append(out, ref)
			}
		}
	}
	switch t := tree.(type) {
	case map[string]any:
		for _, key := range names(t, nil) {
			add(imagesIn(t[key], references)...)
		}
	case []any:
		for _, e := range t {
			add(imagesIn(e, references)...)
		}
	case string:
		if _, d, ok := strings.Cut(t, "@"); ok && references[d] != "" {
			add(references[d])
		}
	}
	return out
}

// podTemplates are where workloads keep what their pods are made from.
var podTemplates = []string{"spec.template.", "spec.jobTemplate.spec.template."}

// replacePods finds the workloads whose pods are made anew.
func (c *comparison) replacePods(component string, old, now map[string]any) {
	for _, name := range names(old, now) {
		before, had := old[name]
		after, has := now[name]
		if had && has && slices.ContainsFunc(differences("", before, after), inPodTemplate) {
			c.replaced = append(c.replaced, component+"/"+name)
		}
	}
}

func inPodTemplate(at string) bool {
	return slices.ContainsFunc(podTemplates, func(p string) bool { return strings.HasPrefix(at, p) })
}

package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/internal/verify"
)

// Object is something that a component makes on a device.
type Object struct {
	Component string `json:"component"`
	// Kind is service, network, volume, config, secret or port; of a chart, the kind
	// of a Kubernetes object with its group, such as Deployment.apps.
	Kind string `json:"kind"`
	// Name is the key in the Compose file; of a port, what is published; of a
	// Kubernetes object, its name.
	Name string `json:"name"`
	// Image is the reference that a service runs (of an object of a chart, those that
	// it names), Replicas how many of it if not one; Service is whose port it is.
	Image    string `json:"image,omitempty"`
	Replicas string `json:"replicas,omitempty"`
	Service  string `json:"service,omitempty"`
}

// kinds are the sections of a Compose project that make objects, in the order
// in which a plan shows them.
var kinds = []struct{ section, kind string }{
	{"services", "service"}, {"networks", "network"}, {"volumes", "volume"}, {"configs", "config"}, {"secrets", "secret"},
}

// project is a render as a tree. It was made by a program that reads untrusted
// input, so its shape is not relied upon.
type project map[string]any

func readProject(r verify.Render) (project, error) {
	if err := strictjson.Check(r.Project, task.RenderLimits); err != nil {
		return nil, fmt.Errorf("component %s: render: %w", r.Component, err)
	}
	var p project
	dec := json.NewDecoder(bytes.NewReader(r.Project))
	dec.UseNumber()
	if err := dec.Decode(&p); err != nil || p == nil {
		return nil, reason.New(reason.Render, "component %s: the render is not a JSON object", r.Component)
	}
	return p.chartProject(r), nil
}

func (p project) section(name string) map[string]any {
	m, _ := p[name].(map[string]any)
	return m
}

func listObjects(r *verify.Rehearsal, renders []verify.Render) ([]Object, error) {
	references := map[string]string{}
	for _, i := range r.Images() {
		references[string(i.Manifest.Digest)] = i.Reference
	}
	out := []Object{}
	for _, render := range renders {
		p, err := readProject(render)
		if err != nil {
			return nil, err
		}
		var ports []Object
		for _, k := range kinds {
			section := p.section(k.section)
			for _, name := range slices.Sorted(maps.Keys(section)) {
				o := Object{Component: render.Component, Kind: k.kind, Name: name}
				if k.kind == "service" {
					o.describe(section[name], references)
					ports = append(ports, portsOf(o, section[name])...)
				}
				out = append(out, o)
			}
		}
		out = append(out, ports...)
		objects := p.section(chartSection)
		for _, name := range slices.Sorted(maps.Keys(objects)) {
			out = append(out, chartObject(render.Component, objects[name], references))
		}
	}
	return out, nil
}

func (o *Object) describe(service any, references map[string]string) {
	s, _ := service.(map[string]any)
	image, _ := s["image"].(string)
	_, d, _ := strings.Cut(image, "@")
	o.Image = references[d]
	if n, ok := s["scale"]; ok {
		o.describeReplicas(n)
	}
}

func (o *Object) describeReplicas(n any) {
	if text := fmt.Sprint(n); text != "1" {
		o.Replicas = text
	}
}

func portsOf(service Object, content any) []Object {
	s, _ := content.(map[string]any)
	list, _ := s["ports"].([]any)
	var out []Object
	for _, entry := range list {
		p, _ := entry.(map[string]any)
		out = append(out, Object{Component: service.Component, Kind: "port", Name: portName(p), Service: service.Name})
	}
	return out
}

// portName spells a port as in the short form of a Compose file.
func portName(p map[string]any) string {
	at := func(key string) string {
		if v, ok := p[key]; ok && v != nil {
			return fmt.Sprint(v)
		}
		return ""
	}
	name := at("published")
	if name == "" {
		name = "any"
	}
	if ip := at("host_ip"); ip != "" {
		name = ip + ":" + name
	}
	name += ":" + at("target")
	if protocol := at("protocol"); protocol != "" {
		name += "/" + protocol
	}
	return name
}

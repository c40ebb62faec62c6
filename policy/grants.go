package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Grants is what an application may ask of the machine beyond what every
// application may: containers of its bundle, named volumes and networks of its
// own, unprivileged ports, limits on itself.
//
//	grants:
//	  compose:
//	    reader:
//	      devices: ["/dev/ttyUSB*:rw"]
//	      hostPaths: ["/var/log/line:ro"]
//	  limits:
//	    memory: 2g
type Grants struct {
	// Compose holds the grants of each Compose service by the service's name,
	// whichever component of the application it is in.
	Compose map[string]ServiceGrants `yaml:"compose,omitempty"`
	// Kubernetes is what the objects of the application's Helm charts may ask for.
	Kubernetes KubernetesGrants `yaml:"kubernetes,omitempty"`
	// Secrets are the names of the device's secrets that an order may give to the
	// application. Without a list, whoever holds the deploy key could hand any
	// secret of a device to any application.
	Secrets []string `yaml:"secrets,omitempty"`
	// Limits are ceilings on what the application takes.
	Limits Limits `yaml:"limits,omitempty"`

	ports []portRange // reserved by the policy for others
	paths []string    // of the device, for nobody
}

// Reserving returns the grants with directories and files of the device that
// no grant of a host path may reach: the agent's own state, the engine's
// socket. They are absolute paths.
func (g Grants) Reserving(paths ...string) Grants {
	g.paths = slices.Concat(g.paths, paths)
	return g
}

// CheckSecrets refuses, with reason grant, secrets of the device that the
// application is not granted. names are those of an order.
func (g Grants) CheckSecrets(names []string) error {
	for _, name := range names {
		if !slices.Contains(g.Secrets, name) {
			return reason.New(reason.Grant, "the order gives the application the secret %q of this device, which is not granted: the policy's grants.secrets must name it", name)
		}
	}
	return nil
}

// maxProject bounds one project: an archive's compose.yaml of at most 1 MiB
// with its configuration files written into it.
var maxProject = strictjson.Limits{Bytes: 24 << 20, Depth: 32}

// CheckCompose decides whether one Compose project stays within the grants.
// project is the resolved project as compose-go marshals it: exactly the bytes
// that will be applied. What is neither harmless nor granted is refused with
// reason grant, in one message that names every such element (an [Excess]);
// bytes that are not such a project have reason malformed or too-large.
//
// The check is about the project alone. That services, networks and volumes
// found in the engine belong to it is for whoever applies it; what became of
// the project is for [Grants.CheckLive].
func (g Grants) CheckCompose(project []byte) error {
	w, err := g.walkProject(project)
	if err != nil {
		return err
	}
	return w.refusal("the application asks for what is not granted: ")
}

func (g Grants) walkProject(project []byte) (*walk, error) {
	tree, err := projectTree(project)
	if err != nil {
		return nil, err
	}
	w := newWalk(g, tree)
	composeProject.check(w, place{}, tree)
	return w, nil
}

func projectTree(project []byte) (map[string]any, error) {
	if err := strictjson.Check(project, maxProject); err != nil {
		return nil, fmt.Errorf("compose project: %w", err)
	}
	tree, err := decodeTree(project)
	if err != nil || tree == nil {
		return nil, reason.New(reason.Malformed, "compose project: not a JSON object")
	}
	return tree, nil
}

func decodeTree(data []byte) (tree map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err = dec.Decode(&tree)
	return tree, err
}

// walk goes through a project and collects what is not granted.
type walk struct {
	grants   Grants
	ceilings ceilings
	project  string
	declared map[string]map[string]any // "networks", "volumes", "configs", "secrets" -> names
	owner    owner                     // whose grants count where the walk is
	chart    *chart                    // of a render of a Helm chart; nil in a Compose project
	asks     []ask
	more     int
}

func newWalk(g Grants, tree map[string]any) *walk {
	w := &walk{grants: g, ceilings: g.Limits.ceilings(), declared: map[string]map[string]any{}}
	w.project, _ = tree["name"].(string)
	for _, section := range []string{"networks", "volumes", "configs", "secrets"} {
		w.declared[section], _ = tree[section].(map[string]any)
	}
	return w
}

// ask records what no grant can cover. The demand goes into logs; got, which
// may quote the project, does not.
func (w *walk) ask(at place, demand, got string) { w.record(ask{at: at, rule: demand, got: got}) }

func (w *walk) record(a ask) {
	if len(w.asks) >= maxKept {
		w.more++
		return
	}
	w.asks = append(w.asks, a)
}

func (w *walk) refusal(subject string) error {
	if len(w.asks) == 0 {
		return nil
	}
	return reason.Wrap(reason.Grant, &Excess{subject: subject, asks: w.asks, more: w.more})
}

// want records that whoever the walk is at needs a grant, unless it has it. A
// value that may not even be granted is recorded as such.
func (w *walk) want(at place, grant, value string) { w.wantFor(w.owner, at, grant, value) }

func (w *walk) wantFor(o owner, at place, grant, value string) {
	h, _ := w.grants.holder(o)
	if fault := h.fault(grant, value); fault != "" {
		w.ask(at, "never granted: "+fault, show(value))
		return
	}
	if h.covered(grant, value) {
		return
	}
	a := ask{at: at, rule: "needs the grant " + grant, need: need{owner: o, grant: grant, value: value}}
	if h.listed(grant) {
		a.got = show(value)
	}
	w.record(a)
}

package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// Grants is what an application may ask of the machine beyond what every
// application may: containers of its bundle, named volumes and networks of its
// own, unprivileged ports, limits on itself. This version has nothing to
// grant, so the document may hold only an empty mapping.
type Grants struct{}

// Retired is asked by the strict decoder about each member of grants.
func (Grants) Retired(string) string {
	return "this version grants nothing beyond the default; take the member out, or change the application so that it does not need it"
}

// maxProject bounds one project: an archive's compose.yaml of at most 1 MiB
// with its configuration files written into it.
var maxProject = strictjson.Limits{Bytes: 24 << 20, Depth: 32}

// maxAsks bounds the message of a refusal. Whoever asks for more than that has
// enough to begin with.
const maxAsks = 20

// CheckCompose decides whether one Compose project stays within the grants.
// project is the resolved project as compose-go marshals it: exactly the bytes
// that will be applied. What is not on the list of harmless keys and values is
// refused with reason grant, in one message that names every such key; bytes
// that are not such a project have reason malformed or too-large.
//
// The check is about the project alone. That services, networks and volumes
// found in the engine belong to it is for whoever applies it.
func (Grants) CheckCompose(project []byte) error {
	tree, err := projectTree(project)
	if err != nil {
		return err
	}
	w := newWalk(tree)
	composeProject(w, "", tree)
	return w.refusal()
}

func projectTree(project []byte) (map[string]any, error) {
	if err := strictjson.Check(project, maxProject); err != nil {
		return nil, fmt.Errorf("compose project: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(project))
	dec.UseNumber()
	var tree map[string]any
	if err := dec.Decode(&tree); err != nil || tree == nil {
		return nil, reason.New(reason.Malformed, "compose project: not a JSON object")
	}
	return tree, nil
}

// walk goes through a project and collects what is not harmless.
type walk struct {
	project  string
	declared map[string]map[string]any // "networks", "volumes", "configs" -> names
	asks     []string
	more     int
}

func newWalk(tree map[string]any) *walk {
	w := &walk{declared: map[string]map[string]any{}}
	w.project, _ = tree["name"].(string)
	for _, section := range []string{"networks", "volumes", "configs"} {
		w.declared[section], _ = tree[section].(map[string]any)
	}
	return w
}

// ask records that the value at path is not granted.
func (w *walk) ask(path, format string, args ...any) {
	if len(w.asks) >= maxAsks {
		w.more++
		return
	}
	w.asks = append(w.asks, path+" ("+fmt.Sprintf(format, args...)+")")
}

func (w *walk) refusal() error {
	if len(w.asks) == 0 {
		return nil
	}
	list := strings.Join(w.asks, ", ")
	if w.more > 0 {
		list += fmt.Sprintf(", and %d more", w.more)
	}
	return reason.New(reason.Grant, "the application asks for what is not granted: %s", list)
}

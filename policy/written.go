package policy

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// demands are the lists of an application whose entries say what must be there.
var demands = map[string]bool{"signatures": true, "attestations": true, "rules": true}

// checkWritten refuses a demand that was written and left empty: a template with
// a variable that was not set would otherwise ask for nothing, and say so to
// nobody.
func checkWritten(root *yaml.Node) error {
	return eachEntry(root, func(key string, value *yaml.Node) error {
		switch key {
		case "trustedRoots": // and the witnesses of their logs
			return eachEntry(value, func(name string, root *yaml.Node) error { return written(root, "trustedRoots."+name) })
		case "applications":
			return writtenDemands(value)
		}
		return nil
	})
}

func writtenDemands(applications *yaml.Node) error {
	for n, app := range applications.Content {
		err := eachEntry(app, func(key string, list *yaml.Node) error {
			if !demands[key] {
				return nil
			}
			return written(list, fmt.Sprintf("applications[%d].%s", n, key))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func eachEntry(n *yaml.Node, do func(key string, value *yaml.Node) error) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if err := do(n.Content[i].Value, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// written refuses whatever is empty at or below a node.
func written(n *yaml.Node, path string) error {
	switch n.Kind {
	case yaml.AliasNode:
		return written(n.Alias, path)
	case yaml.ScalarNode:
		if n.Tag == "!!null" || strings.TrimSpace(n.Value) == "" {
			return empty(n, path)
		}
		return nil
	}
	if len(n.Content) == 0 {
		return empty(n, path)
	}
	if n.Kind == yaml.SequenceNode {
		for i, each := range n.Content {
			if err := written(each, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	return eachEntry(n, func(key string, value *yaml.Node) error { return written(value, path+"."+key) })
}

func empty(n *yaml.Node, path string) error {
	return fmt.Errorf("%s (line %d): is empty: leave it out, or say what is demanded", path, n.Line)
}

package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/consign-dev/consign/internal/reason"
)

// counter walks a document with its aliases expanded. An alias inside its own
// anchor is stopped by the depth, a fan of aliases by the number of nodes.
type counter struct {
	lim            Limits
	nodes, aliases int
}

func (c *counter) check(n *yaml.Node, depth int) error {
	if depth > c.lim.Depth {
		return reason.New(reason.TooLarge, "line %d: nested deeper than %d", n.Line, c.lim.Depth)
	}
	if c.nodes++; c.nodes > c.lim.Nodes {
		return reason.New(reason.TooLarge, "line %d: more than %d values", n.Line, c.lim.Nodes)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return fmt.Errorf("line %d: tag %.40q, tags are not read: write the value alone, text in quotes", n.Line, n.Tag)
	}
	switch n.Kind {
	case yaml.AliasNode:
		if c.aliases++; c.aliases > c.lim.Aliases {
			return reason.New(reason.TooLarge, "line %d: more than %d aliases", n.Line, c.lim.Aliases)
		}
		return c.check(n.Alias, depth+1)
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		for _, child := range n.Content {
			if err := c.check(child, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *counter) mapping(n *yaml.Node, depth int) error {
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if err := c.check(key, depth+1); err != nil {
			return err
		}
		if err := c.checkKey(key, value); err != nil {
			return err
		}
		if line, dup := lines[key.Value]; dup {
			return fmt.Errorf("line %d: duplicate key %.100q, first on line %d", key.Line, key.Value, line)
		}
		lines[key.Value] = key.Line
		if err := c.check(value, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *counter) checkKey(key, value *yaml.Node) error {
	switch {
	case key.Tag == "!!merge" && c.lim.Merge:
		return checkMerge(key, value)
	case key.Tag == "!!merge":
		return fmt.Errorf("line %d: merge key <<, write the fields out", key.Line)
	case key.Kind == yaml.MappingNode:
		return fmt.Errorf("line %d: key is not text; a {{placeholder}} must be filled in first", key.Line)
	case key.Kind != yaml.ScalarNode || key.Tag != "!!str":
		return fmt.Errorf("line %d: key is not text, write it in quotes", key.Line)
	}
	return nil
}

// checkMerge allows a mapping, or a list of mappings, each as an alias or
// written out (https://yaml.org/type/merge.html). What the document says itself
// wins over what is merged in, and an earlier mapping over a later one.
func checkMerge(key, value *yaml.Node) error {
	list := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		list = value.Content
	}
	for _, n := range list {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n.Kind != yaml.MappingNode {
			return fmt.Errorf("line %d: merge key <<, what is merged must be mappings", key.Line)
		}
	}
	return nil
}

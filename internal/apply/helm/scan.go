package helm

import (
	"maps"
	"path"
	"slices"
	"strings"
	"text/template/parse"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/consign-dev/consign/internal/reason"
)

// refused are the template functions that no chart may name.
var refused = map[string]string{
	"lookup":        "reads objects of a cluster: Margo does not allow applications to rely on it, and a render sees no cluster (passwords and certificates stay what they were without it)",
	"getHostByName": "asks a name server, which a render cannot",
	"ago":           "prints a time span that is another one at each render",
}

// volatileFunctions is the closed list of those that give something else each
// time.
var volatileFunctions = []string{
	"now",
	"randAlpha", "randAlphaNum", "randAscii", "randBytes", "randInt", "randNumeric", "shuffle", "uuidv4",
	"genCA", "genCAWithKey", "genPrivateKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
	"bcrypt", "encryptAES", "htpasswd",
}

// otherClock is what stands for the clock in the second of two renders: another
// year, month, hour, minute and second, however a chart prints them. Two renders
// within one second would else agree on a date that the next one changes.
const otherClock = `(dateModify "-65221h7m11s" now)`

// interesting are the functions of both lists.
var interesting = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range slices.AppendSeq(slices.Clone(volatileFunctions), maps.Keys(refused)) {
		set[name] = true
	}
	return set
}()

// findings is what the templates of a chart say without being run.
type findings struct {
	volatile bool // a function of the closed list is named
	clocks   clocks
}

// clocks are the templates that name now, and where. A dependency with two aliases
// is two charts with the same files.
type clocks map[*chart.File][]int

// scan reads all templates of a chart and its dependencies, and texts in values
// and files that could be templates for tpl. It cannot see what a chart puts
// together while it runs: lookup is therefore refused by the engine as well
// (noCluster), and what varies is found by rendering twice.
func scan(c *chart.Chart, values any) (findings, error) {
	f := findings{clocks: clocks{}}
	if err := f.chart(c); err != nil {
		return f, err
	}
	return f, f.value("values", values)
}

func (f *findings) chart(c *chart.Chart) error {
	for _, t := range c.Templates {
		name := path.Join(c.ChartFullPath(), t.Name)
		found, err := functions(name, string(t.Data))
		if err != nil {
			return reason.New(reason.Render, "%.500v", err)
		}
		if err := f.note(name, found); err != nil {
			return err
		}
		if at := found["now"]; len(at) > 0 {
			f.clocks[t] = at
		}
	}
	for _, file := range c.Files {
		if err := f.text(path.Join(c.ChartFullPath(), file.Name), string(file.Data)); err != nil {
			return err
		}
	}
	for _, sub := range c.Dependencies() {
		if err := f.chart(sub); err != nil {
			return err
		}
	}
	return nil
}

// value looks at the texts in a tree of values. at is the pointer.
func (f *findings) value(at string, v any) error {
	switch v := v.(type) {
	case string:
		return f.text(at, v)
	case chartutil.Values:
		return f.value(at, map[string]any(v))
	case []any:
		for _, item := range v {
			if err := f.value(at+"[]", item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := f.value(at+"."+key, v[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// text looks at what may or may not be a template: a README with a mention of
// lookup is none, nor is one for another program, and then nothing is said.
func (f *findings) text(at, text string) error {
	if !strings.Contains(text, "{{") || strings.EqualFold(path.Ext(at), ".md") {
		return nil
	}
	found, err := functions(at, text)
	if err != nil {
		return nil
	}
	return f.note(at, found)
}

func (f *findings) note(at string, found map[string][]int) error {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if why := refused[name]; why != "" {
			return reason.New(reason.Render, "%.200s: function %s %s", at, name, why)
		}
		f.volatile = f.volatile || slices.Contains(volatileFunctions, name)
	}
	return nil
}

// functions returns where a template calls which of the interesting functions,
// in order. A name that is only part of a text, a field or a comment is no call.
func functions(name, text string) (map[string][]int, error) {
	if !mentions(text) {
		return nil, nil
	}
	tree := parse.New(name)
	tree.Mode = parse.SkipFuncCheck
	set := map[string]*parse.Tree{}
	if _, err := tree.Parse(text, "", "", set); err != nil {
		return nil, err
	}
	set[""] = tree
	found := map[string][]int{}
	seen := map[parse.Node]bool{}
	for _, t := range set {
		walk(t.Root, func(n *parse.IdentifierNode) {
			if !seen[n] && interesting[n.Ident] {
				found[n.Ident] = append(found[n.Ident], int(n.Pos))
			}
			seen[n] = true
		})
	}
	for _, at := range found {
		slices.Sort(at)
	}
	return found, nil
}

// mentions reports whether an interesting word is in a text, wherever: most
// templates have none and need not be parsed.
func mentions(text string) bool {
	for i := 0; i < len(text); i++ {
		begin := i
		for i < len(text) && (text[i] == '_' || text[i] >= '0' && text[i] <= '9' || text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z') {
			i++
		}
		if interesting[text[begin:i]] {
			return true
		}
	}
	return false
}

func walk(n parse.Node, visit func(*parse.IdentifierNode)) {
	switch n := n.(type) {
	case *parse.IdentifierNode:
		visit(n)
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				walk(child, visit)
			}
		}
	case *parse.PipeNode:
		if n != nil {
			for _, cmd := range n.Cmds {
				for _, arg := range cmd.Args {
					walk(arg, visit)
				}
			}
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.ChainNode:
		walk(n.Node, visit)
	case *parse.TemplateNode:
		walk(n.Pipe, visit)
	case *parse.IfNode:
		branch(&n.BranchNode, visit)
	case *parse.RangeNode:
		branch(&n.BranchNode, visit)
	case *parse.WithNode:
		branch(&n.BranchNode, visit)
	}
}

func branch(b *parse.BranchNode, visit func(*parse.IdentifierNode)) {
	walk(b.Pipe, visit)
	walk(b.List, visit)
	walk(b.ElseList, visit)
}

// shifted is a template with its clock set back, if it has one.
func (c clocks) shifted(f *chart.File) *chart.File {
	if len(c[f]) == 0 {
		return f
	}
	text := string(f.Data)
	for _, at := range slices.Backward(c[f]) {
		text = text[:at] + otherClock + text[at+len("now"):]
	}
	return &chart.File{Name: f.Name, Data: []byte(text)}
}

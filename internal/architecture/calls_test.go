package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A call is a function or method that only some files may use.
type call struct {
	pkg, name string // "os", "Rename"; pkg "" means any method called name
}

// restriction says which calls are kept to which packages, and who is excused.
type restriction struct {
	calls []call
	// allowed are directories in which the calls are at home.
	allowed []string
	// except are files with a reason; one without such a call is an error.
	except map[string]string
	why    string
}

var writes = restriction{
	calls: []call{
		{"os", "WriteFile"}, {"os", "Create"}, {"os", "Rename"}, {"os", "Link"}, {"os", "Truncate"},
		{"golang.org/x/sys/unix", "Rename"}, {"golang.org/x/sys/unix", "Renameat"}, {"golang.org/x/sys/unix", "Fsync"},
		{"", "Sync"},
	},
	allowed: []string{"internal/durable", "internal/fault", "internal/world", "internal/apply/applytest", "internal/sigstoretest", "tools", "examples", "test"},
	except: map[string]string{
		"internal/oci/registry_disk.go": "olareg wrote the file; it is synced before the PUT is answered",
	},
	why: "files are written through internal/durable, which syncs them and their directory",
}

var clocks = restriction{
	calls:   []call{{"time", "Now"}, {"time", "Since"}, {"time", "Until"}},
	allowed: []string{"cmd", "internal/fault", "internal/world", "internal/apply/applytest", "internal/sigstoretest", "tools", "examples", "test"},
	except: map[string]string{
		"internal/oci/rate.go":     "a stopwatch: how long a transfer takes, not what time it is",
		"internal/oci/registry.go": "a stopwatch: the duration in the request log",
	},
	why: "time is a parameter; the program reads the clock once",
}

func TestFilesAreWrittenDurably(t *testing.T) { writes.check(t) }
func TestTimeIsAParameter(t *testing.T)       { clocks.check(t) }

func TestPurePackagesHaveNoExceptions(t *testing.T) {
	for _, r := range []restriction{writes, clocks} {
		for file := range r.except {
			if under(file, pure...) {
				t.Errorf("%s cannot be excused: %s", file, r.why)
			}
		}
	}
}

func (r restriction) check(t *testing.T) {
	excused := map[string]bool{}
	for _, p := range packages(t) {
		if under(p.path(), r.allowed...) {
			continue
		}
		for _, name := range p.GoFiles {
			file := relative(t, filepath.Join(p.Dir, name))
			for _, found := range r.find(t, filepath.Join(p.Dir, name)) {
				if r.except[file] != "" {
					excused[file] = true
					continue
				}
				t.Errorf("%s: %s: %s", file, found, r.why)
			}
		}
	}
	for file := range r.except {
		if !excused[file] {
			t.Errorf("%s needs no exception any more: remove it", file)
		}
	}
}

// find returns "line 12 uses os.Rename" for each restricted call in a file.
func (r restriction) find(t *testing.T, file string) []string {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := importNames(tree)
	var found []string
	ast.Inspect(tree, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && r.matches(sel, names) {
			found = append(found, "line "+strconv.Itoa(fset.Position(sel.Pos()).Line)+" uses "+sel.Sel.Name)
		}
		return true
	})
	return found
}

// matches compares a selector with the restricted calls. Types are not known
// here, so a method is judged by its name, and only in files that can hold an
// *os.File: others call Sync on durable's own types.
func (r restriction) matches(sel *ast.SelectorExpr, names map[string]string) bool {
	id, isName := sel.X.(*ast.Ident)
	for _, c := range r.calls {
		switch {
		case c.name != sel.Sel.Name:
		case c.pkg == "":
			if _, hasOS := names["os"]; hasOS {
				return true
			}
		case isName && names[id.Name] == c.pkg:
			return true
		}
	}
	return false
}

// importNames maps the name under which a file knows a package to its path.
func importNames(tree *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range tree.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = path
	}
	return names
}

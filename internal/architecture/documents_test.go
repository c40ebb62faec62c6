package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
)

var reasonRow = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|")

func TestReasonsAreDocumentedInOrder(t *testing.T) {
	var documented, defined []string
	for _, m := range reasonRow.FindAllStringSubmatch(readDoc(t, "docs/spec/reasons.md"), -1) {
		documented = append(documented, m[1])
	}
	for _, code := range reason.All() {
		defined = append(defined, string(code))
	}
	if !slices.Equal(documented, defined) {
		t.Errorf("docs/spec/reasons.md lists\n%s\nbut internal/reason defines\n%s", strings.Join(documented, " "), strings.Join(defined, " "))
	}
}

// link finds the target of an inline Markdown link, without its fragment.
var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func TestLinksBetweenDocumentsHold(t *testing.T) {
	for _, file := range markdown(t) {
		for _, m := range link.FindAllStringSubmatch(readDoc(t, file), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			target := filepath.Join(rootDir(t), filepath.Dir(file), filepath.FromSlash(m[1]))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", file, m[1])
			}
		}
	}
}

// markdown lists the Markdown files of the repository from its root.
func markdown(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(rootDir(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			files = append(files, relative(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

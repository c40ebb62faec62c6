package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	claimedTest = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	definedTest = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
)

// TestClaimsOfSecurityNameRealTests: a claim in SECURITY.md whose test was
// renamed or removed is no longer shown by anything.
func TestClaimsOfSecurityNameRealTests(t *testing.T) {
	defined := definedTests(t)
	claims := claimedTest.FindAllStringSubmatch(readDoc(t, "SECURITY.md"), -1)
	if len(claims) == 0 {
		t.Fatal("SECURITY.md names no test")
	}
	for _, m := range claims {
		if !defined[m[1]] {
			t.Errorf("SECURITY.md names %s, which does not exist", m[1])
		}
	}
}

// definedTests are the names of all tests in the tree.
func definedTests(t *testing.T) map[string]bool {
	t.Helper()
	defined := map[string]bool{}
	err := filepath.WalkDir(rootDir(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range definedTest.FindAllSubmatch(source, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return defined
}

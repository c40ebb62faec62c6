package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// attackRows are the rows of the catalogue of attacks that this product answers.
const attackRows = `
	T1 T2 T3 T4 T5 T7 T8 T9 T10 T11 T12 T14 T23 T24 T25 T27 T28 T29
	O1 O2 O3 O4 O5 O7 O8 O9 O10 O11
	A1 A2 A3 A4 A5 A6 A7 A8 A10
	D1 D2 D6 D8 D9 D10 D11 D13
	C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 C11 C12 C13 C14`

var attackTest = regexp.MustCompile(`^TestAttack([A-Z][0-9]{1,2})([^0-9]|$)`)

// TestEveryAttackHasTestsAndMutants: no row is without a test named after it, nor
// without a patch that shows that the test can fail.
func TestEveryAttackHasTestsAndMutants(t *testing.T) {
	tested, patched := map[string]bool{}, map[string]bool{}
	for name := range definedTests(t) {
		if m := attackTest.FindStringSubmatch(name); m != nil {
			tested[m[1]] = true
		}
	}
	patches, err := os.ReadDir(filepath.Join(rootDir(t), "test", "mutants"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range patches {
		row, _, _ := strings.Cut(strings.TrimSuffix(p.Name(), ".patch"), "-")
		patched[row] = true
	}
	for _, row := range strings.Fields(attackRows) {
		if !tested[row] {
			t.Errorf("no test is named TestAttack%s...", row)
		}
		if !patched[row] {
			t.Errorf("test/mutants has no patch of %s", row)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutant is one patch.
type mutant struct {
	name, row string
	// path is the patch; packages are where its row's tests are, nil when a
	// library is the defence; files are those that it changes.
	path     string
	packages []string
	files    []string
	// pattern is of those tests of the row that can judge the patch, "" for all.
	pattern string
	// cluster says that these need a Kubernetes.
	cluster bool
}

var (
	patchName   = regexp.MustCompile(`^([A-Z][0-9]{1,2})(-[a-z0-9-]+)?\.patch$`)
	patchedFile = regexp.MustCompile(`(?m)^diff --git a/(\S+) b/(\S+)$`)
)

func readMutants(dir string) ([]mutant, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []mutant
	for _, e := range entries {
		m, err := readMutant(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
		out = append(out, m)
	}
	return out, nil
}

func readMutant(path string) (mutant, error) {
	name := patchName.FindStringSubmatch(filepath.Base(path))
	if name == nil {
		return mutant{}, errors.New("want a name such as T2.patch or T2-root.patch")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return mutant{}, err
	}
	m := mutant{name: strings.TrimSuffix(filepath.Base(path), ".patch"), row: name[1], path: path}
	for _, f := range patchedFile.FindAllSubmatch(text, -1) {
		m.files = append(m.files, string(f[2]))
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	second, _, _ := strings.Cut(rest, "\n")
	if pattern, ok := strings.CutPrefix(second, "# tests: "); ok {
		if m.pattern = strings.TrimSpace(pattern); !strings.HasPrefix(m.pattern, "TestAttack"+m.row) {
			return m, fmt.Errorf("%q are not tests of row %s", pattern, m.row)
		}
	}
	packages, tested := strings.CutPrefix(first, "# packages: ")
	if !tested {
		packages, tested = strings.CutPrefix(first, "# cluster: ")
		m.cluster = tested
	}
	why, library := strings.CutPrefix(first, "# library: ")
	switch {
	case tested && len(strings.Fields(packages)) > 0 && len(m.files) > 0:
		m.packages = strings.Fields(packages)
		return m, nil
	case library && strings.TrimSpace(why) != "" && len(m.files) == 0:
		return m, nil
	}
	return m, errors.New(`want "# packages: ./DIR" or "# cluster: ./DIR" and a diff, or "# library: WHY" and none`)
}

// tests is the pattern of the tests of the row, for go test -run.
func (m mutant) tests() string {
	if m.pattern != "" {
		return "^" + m.pattern + "$"
	}
	return "^TestAttack" + m.row + "([^0-9]|$)"
}

func (m mutant) wanted(s selection) bool {
	return m.packages != nil && (len(s.rows) == 0 || slices.Contains(s.rows, m.row)) && (s.part == "" || m.cluster == (s.part == clusterPart))
}

func (m mutant) touches(changed map[string]bool) bool {
	return changed["test/mutants/"+m.name+".patch"] || slices.ContainsFunc(m.files, func(f string) bool { return changed[f] })
}

func hasRow(all []mutant, row string) bool {
	return slices.ContainsFunc(all, func(m mutant) bool { return m.row == row })
}

// changedSince lists the files that differ between a commit and the checkout.
func changedSince(ctx context.Context, root, ref string) (map[string]bool, error) {
	if ref == "" {
		return nil, nil
	}
	cmd := exec.CommandContext(ctx, "git", "diff", "--name-only", ref, "--")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("what changed since %s: %w", ref, err)
	}
	changed := map[string]bool{}
	for _, f := range strings.Fields(string(out)) {
		changed[f] = true
	}
	return changed, nil
}

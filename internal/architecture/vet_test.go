package architecture

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The vet of make check leaves out what lies in other modules, and nothing of ours
// or of the standard library: it knows which of our functions print, and that
// os.Exit does not return.
func TestVetLooksIntoOwnPackages(t *testing.T) {
	dir := t.TempDir()
	vet := filepath.Join(dir, "vet")
	if out, err := exec.Command("go", "-C", filepath.Join("..", "..", "tools", "lint"), "build", "-buildvcs=false", "-o", vet, "./vet").CombinedOutput(); err != nil {
		t.Fatalf("build tools/lint/vet: %v: %s", err, out)
	}
	printer := "import \"fmt\"\n\nfunc Say(format string, a ...any) { fmt.Printf(format, a...) }\n"
	for name, text := range map[string]string{
		"go.mod":          "module github.com/consign-dev/consign\n\ngo 1.26\n\nrequire example.org/theirs v1.0.0\n\nreplace example.org/theirs => ./theirs\n",
		"theirs/go.mod":   "module example.org/theirs\n\ngo 1.26\n",
		"theirs/print.go": "package theirs\n\n" + printer,
		"ours/print.go":   "package ours\n\n" + printer,
		"use/use.go": `package use

import (
	"context"
	"os"

	"example.org/theirs"
	"github.com/consign-dev/consign/ours"
)

func Use(stop bool) {
	ours.Say("%d", "x")
	theirs.Say("%d", "x")
	_, cancel := context.WithCancel(context.Background())
	if stop {
		os.Exit(1)
	}
	cancel()
}
`,
	} {
		file := filepath.Join(dir, "module", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "-C", filepath.Join(dir, "module"), "vet", "-vettool="+vet, "./use").CombinedOutput()
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "use/use.go:") {
			found = append(found, line)
		}
	}
	if err == nil || len(found) != 1 || !strings.Contains(found[0], "use.go:12:") || !strings.Contains(found[0], "consign/ours.Say format %d has arg") {
		t.Errorf("vet found %q, want the one format of line 12: %v: %s", found, err, out)
	}
}

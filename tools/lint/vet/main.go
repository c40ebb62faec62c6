// Vet is Go's own vet, for "go vet -vettool", without a look into the modules of
// others. For the packages it checks, "go vet" has every package below them looked
// at first, for functions that print as Printf does or that never return, and that
// takes longer than all else it does. Those of the standard library are looked at
// all the same; such a function of a dependency goes unnoticed.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const module = "github.com/consign-dev/consign"

func main() {
	if err := run(os.Args[1:]); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() > 0 {
			os.Exit(exit.ExitCode()) // it has said why
		}
		fmt.Fprintln(os.Stderr, "vet:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	root := os.Getenv("GOROOT")
	if root == "" || len(args) == 0 {
		return errors.New("run by hand; use it with go vet -vettool")
	}
	last := args[len(args)-1]
	if strings.HasSuffix(last, ".cfg") {
		if done, err := skip(last); done || err != nil {
			return err
		}
	}
	vet := exec.Command(filepath.Join(root, "pkg", "tool", runtime.GOOS+"_"+runtime.GOARCH, "vet"), args...)
	vet.Stderr = os.Stderr
	out, err := vet.Output()
	if last == "-V=full" && err == nil {
		// Go's cache must not take the results of one for those of the other.
		out = append([]byte(strings.TrimSpace(string(out))), " of one module\n"...)
	}
	_, failed := os.Stdout.Write(out)
	return errors.Join(err, failed)
}

// skip takes a unit of work, which "go vet" describes in a file. If it is a
// package of another module that is wanted for what it says of its functions,
// that is left empty, which is to say nothing.
func skip(file string) (bool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	var unit struct {
		ImportPath, VetxOutput string
		VetxOnly               bool
	}
	if err := json.Unmarshal(data, &unit); err != nil {
		return false, fmt.Errorf("%s: %w", file, err)
	}
	first, _, _ := strings.Cut(unit.ImportPath, "/")
	if !unit.VetxOnly || !strings.Contains(first, ".") || unit.ImportPath == module || strings.HasPrefix(unit.ImportPath, module+"/") {
		return false, nil
	}
	return true, os.WriteFile(unit.VetxOutput, nil, 0o644)
}

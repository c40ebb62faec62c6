// Package clitest has what the scripts of all programs (testdata/*.txt) say
// beyond the words of testscript:
//
//	exits CODE PROGRAM ARGS...   run a program and demand its exit code
//	json stdout|stderr           demand exactly one JSON object on one line
//	capture NAME REGEXP          set $NAME to what the first group of REGEXP
//	                             matches in the last stdout
package clitest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Commands are the words of this package, with those of the caller beside them.
func Commands(more map[string]func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	all := map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "json": object, "capture": capture}
	for name, do := range more {
		all[name] = do
	}
	return all
}

// exits is there because testscript's exec knows only zero and not zero.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func object(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json stdout|stderr")
	}
	text := ts.ReadFile(args[0])
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		ts.Fatalf("%s is not one JSON object: %v", args[0], err)
	}
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		ts.Fatalf("%s is not one line", args[0])
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("no group of %q is in stdout", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// Bare gives a script an environment in which nothing of this machine is found:
// no home directory but the script's own, no registry credentials.
func Bare(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	return os.Mkdir(home, 0o700)
}

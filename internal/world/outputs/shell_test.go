// Package outputs runs the real programs as people and scripts do, and looks at
// everything that they say and leave: both forms of output, exit codes, the
// list of processes, files and their modes.
package outputs

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// shell runs programs and remembers what they said.
type shell struct {
	t   testing.TB
	bin string
	// flags go before the arguments of each program.
	flags map[string][]string
	// prefix is a command that runs the program, such as one that sets a umask.
	prefix []string
	env    []string
	said   []said
}

// said is what one run of a program wrote.
type said struct{ command, stdout, stderr string }

// newShell has the programs that are to be shipped in one directory, with the
// recording applier beside them.
func newShell(t testing.TB) *shell {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"publisher", "agent", "auditor", "applier-helm"} {
		copyProgram(t, filepath.Join(world.Programs(t), name), filepath.Join(bin, name))
	}
	copyProgram(t, filepath.Join(world.Recorder(t), "applier-compose"), filepath.Join(bin, "applier-compose"))
	return &shell{t: t, bin: bin, flags: map[string][]string{}, env: os.Environ()}
}

func copyProgram(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program for its text and, if the exit code was not 0 or the program
// only looks, once more for its JSON. Both must end with the code.
func (s *shell) run(code int, program string, args ...string) {
	s.t.Helper()
	s.once(code, program, args...)
	if code != 0 || looks[program+" "+args[0]] {
		s.once(code, program, append(args, "--output", "json")...)
	}
}

// anyCode is for runs of which only the words matter.
const anyCode = -1

// looks are the commands that change nothing.
var looks = map[string]bool{
	"publisher plan": true, "publisher verify": true, "publisher inspect": true, "agent status": true, "agent doctor": true, "agent verify": true,
	"agent log": true, "auditor verify": true, "auditor events": true, "auditor show": true, "agent sync": true, "publisher channel": true,
}

func (s *shell) once(code int, program string, args ...string) said {
	s.t.Helper()
	args = append(append([]string{}, args...), s.flags[program]...)
	argv := append(append([]string{}, s.prefix...), append([]string{filepath.Join(s.bin, program)}, args...)...)
	cmd := exec.Command(argv[0], argv[1:]...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, s.env
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	out := said{program + " " + strings.Join(args, " "), stdout.String(), stderr.String()}
	s.said = append(s.said, out)
	got := cmd.ProcessState.ExitCode()
	if code == anyCode {
		code = got
	}
	if got != code {
		s.t.Fatalf("%s: exit code %d, want %d\n%s%s", out.command, got, code, out.stdout, out.stderr)
	}
	if problem := out.disagrees(program, code); problem != "" {
		s.t.Errorf("%s: exit code %d, but %s\n%s%s", out.command, code, problem, out.stdout, out.stderr)
	}
	if bad := out.harmful(); bad != "" {
		s.t.Errorf("%s: wrote %s\n%q\n%q", out.command, bad, out.stdout, out.stderr)
	}
	return out
}

var complaint = regexp.MustCompile(`(?m)^(publisher|agent|auditor): (?:(?:refused|failed) \(([a-z-]+)\): )?`)

// disagrees says how the text, or the JSON, of a run contradicts its exit code.
func (o said) disagrees(program string, code int) string {
	if strings.Contains(o.command, "--output json") {
		return o.disagreesJSON(code)
	}
	found := complaint.FindStringSubmatch(o.stderr)
	switch {
	case found == nil && code != 0 && !strings.HasPrefix(o.command, "agent doctor"):
		return "nothing is said about it"
	case found != nil && code == 0:
		return "an error is reported"
	case code < 0 || code > cli.ExitTampering:
		return "that is no code of ours"
	case found != nil && found[2] != "" && code != cli.ExitTampering && cli.ExitCode(reason.New(reason.Code(found[2]), "x")) != code:
		return "the reason is " + found[2]
	}
	return ""
}

func (o said) disagreesJSON(code int) string {
	lines := strings.Split(strings.TrimSpace(o.stderr), "\n")
	var last struct{ Error *cli.Failure }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Error == nil {
		if code != 0 && !strings.HasPrefix(o.command, "agent doctor") {
			return "there is no error object"
		}
		return ""
	}
	if last.Error.Exit != code {
		return "the error object has another one"
	}
	return ""
}

// harmful names what a terminal would act upon, or hide.
func (o said) harmful() string {
	for _, r := range o.stdout + o.stderr {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			continue
		}
		return "the character " + strings.Trim(cli.Safe(string(r)), `\`)
	}
	return ""
}

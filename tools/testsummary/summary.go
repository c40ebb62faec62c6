package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// event is one line of go test -json; see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
}

// failure is a failed test, or package, with what the test said of it.
type failure struct {
	name  string
	words []string
}

// summary counts tests and keeps what is printed about failures.
type summary struct {
	live                    io.Writer
	passed, failed, skipped int
	packages                []string // the ok and FAIL lines, in order
	failures                []failure
	output                  map[string][]string // of tests and packages not yet known to have passed
	badPackage              map[string]bool     // packages with a failed test
}

func newSummary(live io.Writer) *summary {
	return &summary{live: live, output: map[string][]string{}, badPackage: map[string]bool{}}
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// line takes one line. What is no JSON was printed by the go command itself.
func (s *summary) line(line string) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(s.live, line)
		return
	}
	switch {
	case e.Action == "output" && e.Test == "" && isPackageLine(e.Output):
		s.packageLine(e.Output)
	case e.Action == "output":
		s.output[key(e)] = append(s.output[key(e)], e.Output)
	case e.Action == "build-output":
		fmt.Fprint(s.live, e.Output)
	case e.Test != "":
		s.test(e)
	case e.Action == "fail":
		s.failedPackage(e)
	}
}

// empty is an error when nothing was tested.
func (s *summary) empty() error {
	if s.passed+s.failed+s.skipped == 0 {
		return errors.New("no test ran: the names and packages that it was given match none")
	}
	return nil
}

func key(e event) string { return e.Package + " " + e.Test }

// isPackageLine tells "ok  \tpkg\t1.2s" and "FAIL\tpkg ..." from other output;
// packages without tests are not worth a line.
func isPackageLine(out string) bool {
	return strings.HasPrefix(out, "ok  \t") || strings.HasPrefix(out, "FAIL\t")
}

func (s *summary) packageLine(out string) {
	fmt.Fprint(s.live, out)
	s.packages = append(s.packages, out)
}

func (s *summary) test(e event) {
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
		fmt.Fprintf(s.live, "skipped: %s %s\n", e.Package, e.Test)
	case "fail":
		s.failed++
		s.badPackage[e.Package] = true
		s.failures = append(s.failures, failure{key(e), words(s.output[key(e)])})
		s.show(e)
	default:
		return
	}
	delete(s.output, key(e))
}

// failedPackage counts a package that failed without a failed test: it did not
// build, it crashed, or its TestMain gave up.
func (s *summary) failedPackage(e event) {
	if s.badPackage[e.Package] {
		return
	}
	s.failed++
	s.failures = append(s.failures, failure{name: e.Package})
	// A crash leaves the output of the tests that were running.
	for k, out := range s.output {
		if strings.HasPrefix(k, e.Package+" ") {
			fmt.Fprint(s.live, strings.Join(out, ""))
			delete(s.output, k)
		}
	}
}

func (s *summary) show(e event) {
	fmt.Fprintf(s.live, "--- failed: %s\n%s", key(e), strings.Join(s.output[key(e)], ""))
}

// At most so many lines, each of at most so many bytes, of a failure are in the summary.
const (
	mostWords  = 10
	widestLine = 600
)

// ofATest is the first line of what a test logs, with the place in the test that did.
var ofATest = regexp.MustCompile(`^\s+(\w+_test\.go:\d+: .*)`)

// words are what a failed test said itself, each with its first line. What helpers
// print besides, such as the state of a cluster, is in the whole output only: there the
// reason of a failure is hard to find, and who sees the end of a run sees this.
func words(output []string) []string {
	var out []string
	for line := range strings.Lines(strings.Join(output, "")) {
		found := ofATest.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		if len(out) == mostWords {
			return append(out, "...")
		}
		out = append(out, strings.ToValidUTF8(found[1][:min(len(found[1]), widestLine)], ""))
	}
	return out
}

// write prints the package lines, the failures with their words, and the counts as the last line.
func (s *summary) write(w io.Writer) {
	for _, line := range s.packages {
		fmt.Fprint(w, line)
	}
	for _, f := range s.failures {
		fmt.Fprintf(w, "failed: %s\n", f.name)
		for _, line := range f.words {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}

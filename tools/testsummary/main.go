// Testsummary runs go test and says at the end, in one line, how it went:
//
//	go run ./tools/testsummary [-summary FILE] -- [GO TEST ARGUMENTS]
//
// The package lines of go test appear as they come, the output of a test only
// when it failed. -summary writes the package lines, the names of failed tests with
// what they said, and the closing line to FILE too. The exit status is that of go test, but a run
// that came to no test at all has failed: the names it was given match none.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	file := flag.String("summary", "", "also write the summary to `FILE`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, flag.Args(), *file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, file string) (int, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	s := newSummary(os.Stdout)
	readErr := s.read(out)
	waitErr := cmd.Wait()
	var exit *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exit) {
		return 1, waitErr
	}
	return cmd.ProcessState.ExitCode(), errors.Join(readErr, finish(s, file), s.empty())
}

// finish prints the summary, and writes it to file if one is named.
func finish(s *summary, file string) error {
	var buf bytes.Buffer
	s.write(&buf)
	fmt.Fprintln(os.Stdout)
	if _, err := io.Copy(os.Stdout, bytes.NewReader(buf.Bytes())); err != nil {
		return err
	}
	if file == "" {
		return nil
	}
	return os.WriteFile(file, buf.Bytes(), 0o644)
}

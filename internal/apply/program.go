package apply

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/apply/sandbox"
	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/fault"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

const (
	// renderDeadline is the wall time a render may take: it reads a few files
	// from memory, so this is generous even on a slow device. Its CPU time and
	// memory are bounded by the program itself (internal/apply/compose).
	renderDeadline = 60 * time.Second
	// engineMargin is what a task on the engine may take beyond the timeout that
	// it was given and keeps itself.
	engineMargin = 30 * time.Second
	// restartMargin is what a snapshot that failed may take to start again what it
	// stopped.
	restartMargin = 3 * time.Minute
	// observeDeadline bounds looking at what runs, or at the engine itself.
	observeDeadline = 60 * time.Second
	// stderrEnds is how much of the beginning and of the end of a program's
	// complaints an error repeats.
	stderrEnds = 512
	// answerDepth bounds the nesting of an answer.
	answerDepth = 12
)

// Program is an applier program on this machine, such as applier-compose or applier-helm. It
// is started for each task and ends with it. What it is asked to do is decided
// by the functions of this package that take a verdict; the type offers
// nothing else.
type Program struct{ path string }

// NewProgram returns the applier program at an absolute path. Whether it is
// there is seen when it is started.
func NewProgram(path string) (*Program, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("applier program %q: not an absolute path", path)
	}
	return &Program{path: path}, nil
}

// render runs in the sandbox. Refusals carry the program's reasons; a program
// that crashed, ran out of a limit or said nothing sensible gives "render",
// since the component made it do so.
func (p *Program) render(ctx context.Context, in RenderInput) (RenderResult, error) {
	return call[RenderResult](ctx, p, task.Render, in, renderDeadline)
}

// renderChart is [Program.render] of applier-helm.
func (p *Program) renderChart(ctx context.Context, in task.ChartInput) (task.ChartResult, error) {
	return call[task.ChartResult](ctx, p, task.Render, in, renderDeadline)
}

// chartImages lists the images that a chart names, confined as a render is.
func (p *Program) chartImages(ctx context.Context, in task.ChartImagesInput) (task.ChartImagesResult, error) {
	return call[task.ChartImagesResult](ctx, p, task.Images, in, renderDeadline)
}

// apply makes the engine run a render, and returns when it runs (and is
// healthy, when in.Wait asks for that) or has failed.
func (p *Program) apply(ctx context.Context, in ApplyInput) (ApplyResult, error) {
	result, err := call[ApplyResult](ctx, p, task.Apply, in, seconds(in.TimeoutSeconds)+engineMargin)
	if err != nil {
		return result, err
	}
	return result, checkFacts(task.Apply, result.Services)
}

// applyChart makes a cluster run a render, and returns when it is ready (when
// in.Wait asks for that) or has failed.
func (p *Program) applyChart(ctx context.Context, in task.ChartApplyInput) (ApplyResult, error) {
	return call[ApplyResult](ctx, p, task.Apply, in, seconds(in.TimeoutSeconds)+engineMargin)
}

// observeChart looks at what a cluster runs.
func (p *Program) observeChart(ctx context.Context, in task.ChartObserveInput) (ObserveResult, error) {
	return call[ObserveResult](ctx, p, task.Observe, in, observeDeadline)
}

// removeChart takes a release away.
func (p *Program) removeChart(ctx context.Context, in task.ChartRemoveInput) (RemoveResult, error) {
	return call[RemoveResult](ctx, p, task.Remove, in, seconds(in.TimeoutSeconds)+engineMargin)
}

// clusterInfo looks at the cluster itself.
func (p *Program) clusterInfo(ctx context.Context, in task.ChartInfoInput) (task.ChartInfoResult, error) {
	return call[task.ChartInfoResult](ctx, p, task.Info, in, observeDeadline)
}

// checkFacts holds the program to the bounds of what it reports.
func checkFacts(name task.Name, services []Service) error {
	for _, s := range services {
		if err := s.Facts.Check(); err != nil {
			return reason.New(reason.Internal, "%s: result: service %.200q: %w", name, s.Name, err)
		}
	}
	return nil
}

// observe looks at what the engine runs.
func (p *Program) observe(ctx context.Context, in ObserveInput) (ObserveResult, error) {
	result, err := call[ObserveResult](ctx, p, task.Observe, in, observeDeadline)
	if err != nil {
		return result, err
	}
	return result, checkFacts(task.Observe, result.Services)
}

// remove takes a project away.
func (p *Program) remove(ctx context.Context, in RemoveInput) (RemoveResult, error) {
	return call[RemoveResult](ctx, p, task.Remove, in, seconds(in.TimeoutSeconds)+engineMargin)
}

// info looks at the engine itself.
func (p *Program) info(ctx context.Context, in task.InfoInput) (InfoResult, error) {
	return call[InfoResult](ctx, p, task.Info, in, observeDeadline)
}

// prune removes images that nobody needs.
func (p *Program) prune(ctx context.Context, in PruneInput) (PruneResult, error) {
	return call[PruneResult](ctx, p, task.Prune, in, seconds(in.TimeoutSeconds)+engineMargin)
}

// snapshot stops containers and copies volumes.
func (p *Program) snapshot(ctx context.Context, in SnapshotInput) (SnapshotResult, error) {
	return call[SnapshotResult](ctx, p, task.Snapshot, in, seconds(in.TimeoutSeconds)+restartMargin)
}

// restore puts the copies of volumes back.
func (p *Program) restore(ctx context.Context, in RestoreInput) (RestoreResult, error) {
	return call[RestoreResult](ctx, p, task.Restore, in, seconds(in.TimeoutSeconds)+engineMargin)
}

// snapshotChart stops what uses the claims of a deployment and copies their volumes.
func (p *Program) snapshotChart(ctx context.Context, in task.ChartSnapshotInput) (SnapshotResult, error) {
	return call[SnapshotResult](ctx, p, task.Snapshot, in, seconds(in.TimeoutSeconds)+restartMargin)
}

// restoreChart puts the copies of claims back.
func (p *Program) restoreChart(ctx context.Context, in task.ChartRestoreInput) (RestoreResult, error) {
	return call[RestoreResult](ctx, p, task.Restore, in, seconds(in.TimeoutSeconds)+engineMargin)
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// call sends one request to a new process and decodes its answer.
func call[Result any](ctx context.Context, p *Program, name task.Name, input any, deadline time.Duration) (Result, error) {
	var result Result
	if err := fault.Point("apply." + string(name)); err != nil {
		return result, err
	}
	request, err := encodeRequest(name, input)
	if err != nil {
		return result, err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	line, err := p.run(ctx, name, request)
	if err != nil {
		return result, err
	}
	return result, decodeAnswer(name, line, &result)
}

func encodeRequest(name task.Name, input any) ([]byte, error) {
	raw, err := json.Marshal(input)
	if err != nil {
		return nil, fmt.Errorf("%s: encode request: %w", name, err)
	}
	line, err := json.Marshal(task.Request{Task: name, Input: raw})
	if err != nil {
		return nil, fmt.Errorf("%s: encode request: %w", name, err)
	}
	if line = append(line, '\n'); len(line) > task.MaxRequest {
		return nil, reason.New(reason.TooLarge, "%s: request of %d bytes, at most %d are sent", name, len(line), task.MaxRequest)
	}
	return line, nil
}

// run starts the program and returns the one line that it answers.
func (p *Program) run(ctx context.Context, name task.Name, request []byte) ([]byte, error) {
	if p == nil {
		return nil, reason.New(reason.Internal, "%s: the applier for it is not there: install applier-compose and applier-helm beside this program, as 'make install' does", name)
	}
	cmd := exec.CommandContext(ctx, p.path, string(name))
	cmd.Env, cmd.Dir = environment(), "/"
	cmd.WaitDelay = 2 * time.Second
	if confined(name) {
		sandbox.Prepare(cmd)
	}
	stderr := &excerpt{max: stderrEnds}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, reason.Wrap(reason.Internal, fmt.Errorf("start %s: %w", filepath.Base(p.path), sandbox.Explain(err)))
	}
	go func() { _, _ = stdin.Write(request) }() // a program that ends early shows in its exit status
	line, readErr := readLine(stdout)
	_ = stdin.Close() // the program takes this as "your parent is gone", so not before its answer
	if readErr != nil {
		_ = cmd.Process.Kill() // it may be writing without end
	}
	waitErr := cmd.Wait()
	if readErr != nil || waitErr != nil {
		return nil, died(ctx, p.path, name, errors.Join(waitErr, readErr), stderr)
	}
	return line, nil
}

// confined reports whether a task reads a component and nothing else, for which
// the program locks itself in.
func confined(name task.Name) bool { return name == task.Render || name == task.Images }

// readLine reads the answer. More than one line, or a line that does not end,
// is no answer.
func readLine(r io.Reader) ([]byte, error) {
	br := bufio.NewReader(io.LimitReader(r, task.MaxAnswer+1))
	line, err := br.ReadBytes('\n')
	switch {
	case len(line) > task.MaxAnswer:
		return nil, fmt.Errorf("answered more than %d bytes", task.MaxAnswer)
	case errors.Is(err, io.EOF):
		return nil, errors.New("ended without an answer")
	case err != nil:
		return nil, err
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, errors.New("answered more than one line")
	}
	return line, nil
}

// died explains a program that gave no answer. For a render the component is
// to blame, for the other tasks the program.
func died(ctx context.Context, path string, name task.Name, err error, stderr *excerpt) error {
	code := reason.Internal
	if confined(name) {
		code = reason.Render
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("stopped (%w): %w", cause, err)
	}
	if text := stderr.String(); text != "" {
		return reason.New(code, "%s %s: %w; it said %q", filepath.Base(path), name, err, text)
	}
	return reason.New(code, "%s %s: %w", filepath.Base(path), name, err)
}

// decodeAnswer trusts the program no further than its format.
func decodeAnswer(name task.Name, line []byte, result any) error {
	limits := strictjson.Limits{Bytes: task.MaxAnswer, Depth: answerDepth}
	var answer task.Answer
	if err := strictjson.Unmarshal(line, &answer, limits); err != nil {
		return reason.New(reason.Internal, "%s: answer: %w", name, err)
	}
	if r := answer.Refusal; r != nil {
		if !r.Reason.Valid() || answer.Result != nil {
			return reason.New(reason.Internal, "%s: answer with reason %q is not a refusal", name, r.Reason)
		}
		return &reason.Error{Code: r.Reason, Err: errors.New(r.Message)}
	}
	if err := strictjson.Unmarshal(answer.Result, result, limits); err != nil {
		return reason.New(reason.Internal, "%s: result: %w", name, err)
	}
	return nil
}

// excerpt keeps the first and the last bytes that are written to it: a crash
// says at its beginning why, other complaints at their end.
type excerpt struct {
	max        int // of each end
	head, tail []byte
	cut        bool
}

func (e *excerpt) Write(p []byte) (int, error) {
	n := min(len(p), e.max-len(e.head))
	e.head = append(e.head, p[:n]...)
	e.tail = append(e.tail, p[n:]...)
	if over := len(e.tail) - e.max; over > 0 {
		e.tail = append(e.tail[:0], e.tail[over:]...)
		e.cut = true
	}
	return len(p), nil
}

func (e *excerpt) String() string {
	text := string(e.head) + string(e.tail)
	if e.cut {
		text = string(e.head) + "\n...\n" + string(e.tail)
	}
	return strings.TrimSpace(strings.ToValidUTF8(text, "?"))
}

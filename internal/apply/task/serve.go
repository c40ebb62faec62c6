package task

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// inputDepth bounds the nesting of an input; the deepest has lists and maps of
// strings.
const inputDepth = 8

// Handler does one kind of task: it decodes its input and returns its result.
type Handler func(ctx context.Context, input json.RawMessage) (any, error)

// Handle makes a Handler of a function with a typed input.
func Handle[In, Out any](do func(context.Context, In) (Out, error)) Handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var in In
		if err := strictjson.Unmarshal(raw, &in, strictjson.Limits{Bytes: MaxRequest, Depth: inputDepth}); err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		return do(ctx, in)
	}
}

// Serve answers the one request on in, which must be for the named task. The
// error says that no answer could be given; a refused task is an answer. The
// task's context ends when the sender closes in.
func Serve(ctx context.Context, name Name, do Handler, in io.Reader, out io.Writer) error {
	br := bufio.NewReader(in)
	request, err := readRequest(br)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if request.Task != name {
		return fmt.Errorf("request is for the task %q, the program was started for %q", request.Task, name)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = br.ReadByte()
		cancel(errors.New("the sender of the request is gone"))
	}()
	result, err := do(ctx, request.Input)
	return writeAnswer(out, result, err)
}

// Refuse answers without having read a request: for a program that finds, before
// it may read, that it cannot do its task here.
func Refuse(out io.Writer, err error) error { return writeAnswer(out, nil, err) }

func readRequest(br *bufio.Reader) (Request, error) {
	line, err := readLine(br, MaxRequest)
	if err != nil {
		return Request{}, err
	}
	var r Request
	return r, strictjson.Unmarshal(line, &r, strictjson.Limits{Bytes: MaxRequest, Depth: inputDepth + 2})
}

// readLine reads up to and including a newline, never more than max bytes.
func readLine(br *bufio.Reader, max int) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > max:
			return nil, reason.New(reason.TooLarge, "line of more than %d bytes", max)
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func writeAnswer(out io.Writer, result any, err error) error {
	var answer Answer
	if err != nil {
		answer.Refusal = refusal(err)
	} else if answer.Result, err = json.Marshal(result); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	line, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

// refusal keeps the text without the code in front, which the receiver's error
// puts there again.
func refusal(err error) *Refusal {
	r := &Refusal{Reason: reason.Of(err), Message: err.Error()}
	var coded *reason.Error
	if errors.As(err, &coded) && coded.Error() == err.Error() {
		r.Message = coded.Err.Error()
	}
	return r
}

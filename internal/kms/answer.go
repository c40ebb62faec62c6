package kms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

// timeout bounds one question to a service, its client's repetitions included.
const timeout = time.Minute

// maxWords bounds what is repeated of a client's message, in bytes.
const maxWords = 600

// within asks a service and waits no longer than ctx and [timeout] allow. Some
// clients do not look at a context: what they still do then is for nobody.
func within[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, reason.New(reason.Unreachable, "no answer within %v", timeout))
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := ask(ctx)
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// failed names the key, what was asked, and where to look.
func (k *key) failed(operation string, err error) error {
	if cause := context.Cause(k.ctx); cause != nil {
		return fmt.Errorf("key %s: %s: %w", k.uri, operation, cause)
	}
	err = fmt.Errorf("key %s: %s: %w; see that the service is reached and lets you in by %s, and that it has the key", k.uri, operation, oneLine{err}, k.in.look)
	if at, network := new(url.Error), net.Error(nil); errors.As(err, &at) || errors.As(err, &network) {
		return reason.Wrap(reason.Unreachable, err)
	}
	return err
}

// oneLine is an error of a client, which may spread over many lines.
type oneLine struct{ error }

func (e oneLine) Error() string {
	text := strings.Join(strings.Fields(e.error.Error()), " ")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "..."
	}
	return text
}

func (e oneLine) Unwrap() error { return e.error }

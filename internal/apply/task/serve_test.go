package task

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/reason"
)

type echoInput struct {
	Text string `json:"text"`
}

func echo(_ context.Context, in echoInput) (echoInput, error) {
	if in.Text == "" {
		return in, reason.New(reason.Grant, "nothing to say")
	}
	return in, nil
}

func serve(t *testing.T, request string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := Serve(t.Context(), Observe, Handle(echo), strings.NewReader(request), &out)
	return out.String(), err
}

func TestServeAnswersOneRequest(t *testing.T) {
	out, err := serve(t, `{"task":"observe","input":{"text":"a"}}`+"\n")
	if err != nil || out != `{"result":{"text":"a"}}`+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	out, err = serve(t, `{"task":"observe","input":{"text":""}}`+"\n")
	if err != nil || out != `{"refusal":{"reason":"grant","message":"nothing to say"}}`+"\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestServeRefusesWhatIsNoRequestForIt(t *testing.T) {
	for name, request := range map[string]string{
		"empty":        "",
		"no newline":   `{"task":"observe","input":{}}`,
		"other task":   `{"task":"apply","input":{}}` + "\n",
		"unknown key":  `{"task":"observe","input":{},"more":1}` + "\n",
		"duplicate":    `{"task":"observe","task":"observe","input":{}}` + "\n",
		"not an value": "x\n",
	} {
		if out, err := serve(t, request); err == nil || out != "" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	out, err := serve(t, `{"task":"observe","input":{"txt":"a"}}`+"\n")
	if err != nil || !strings.Contains(out, `"reason":"malformed"`) {
		t.Errorf("unknown key of the input: %q, %v", out, err)
	}
}

// A sender that dies must not leave a task running.
func TestServeStopsWhenTheSenderIsGone(t *testing.T) {
	r, w := io.Pipe()
	started := make(chan bool)
	wait := func(ctx context.Context, _ json.RawMessage) (any, error) {
		close(started)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(10 * time.Second):
			return nil, nil
		}
	}
	done := make(chan string)
	go func() {
		var out bytes.Buffer
		_ = Serve(context.Background(), Observe, wait, r, &out)
		done <- out.String()
	}()
	if _, err := io.WriteString(w, `{"task":"observe","input":{}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	<-started
	w.Close()
	if out := <-done; !strings.Contains(out, "sender of the request is gone") {
		t.Errorf("answered %q", out)
	}
}

func FuzzServe(f *testing.F) {
	f.Add(`{"task":"observe","input":{"text":"a"}}` + "\n")
	f.Add("{}\n")
	f.Fuzz(func(t *testing.T, request string) {
		if out, err := serve(t, request); err == nil && !json.Valid([]byte(out)) {
			t.Errorf("answered %q", out)
		}
	})
}

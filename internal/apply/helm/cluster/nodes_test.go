package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/consign-dev/consign/internal/reason"
)

// A cluster with more nodes than the one that the images are served to is refused.
// The test's own cluster has one.
func TestSeveralNodesAreRefused(t *testing.T) {
	for nodes, want := range map[int]reason.Code{0: "", 1: "", 2: reason.Ineligible} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			var items []string
			for n := range nodes {
				items = append(items, fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"node%d"}}`, n))
			}
			fmt.Fprintf(w, `{"apiVersion":"v1","kind":"NodeList","metadata":{},"items":[%s]}`, strings.Join(items, ","))
		}))
		objects, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		err = (&cluster{objects: objects}).oneNode(t.Context())
		if want == "" && err != nil || want != "" && !reason.Is(err, want) {
			t.Errorf("%d nodes: got %v", nodes, err)
		}
		server.Close()
	}
}

// What is said of a change that was begun never says that nothing was changed.
func TestReasonsOfAChange(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx           context.Context
		err           error
		before, begun reason.Code
	}{
		{t.Context(), reason.New(reason.Health, "sick"), reason.Health, reason.Health},
		{t.Context(), reason.New(reason.Unreachable, "away"), reason.Unreachable, reason.Internal},
		{t.Context(), reason.New(reason.Conflict, "taken"), reason.Conflict, reason.Internal},
		{t.Context(), errors.New("plain"), reason.Internal, reason.Internal},
		{over, reason.New(reason.Unreachable, "away"), reason.TooSlow, reason.Health},
		{over, reason.New(reason.NoSpace, "full"), reason.TooSlow, reason.NoSpace},
	} {
		if got := reason.Of(beforehand(c.ctx, c.err)); got != c.before {
			t.Errorf("before a change, %v is %s, want %s", c.err, got, c.before)
		}
		if got := reason.Of(afterwards(c.ctx, c.err)); got != c.begun {
			t.Errorf("in a change, %v is %s, want %s", c.err, got, c.begun)
		}
	}
}

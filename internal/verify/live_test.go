package verify

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// livePod is the one object of chartRender, as the cluster has it.
var livePod = chartRender[strings.Index(chartRender, `"objects":[`)+len(`"objects":[`) : strings.Index(chartRender, `],"release"`)]

func TestWhatRunsOfAChartIsHeldAgainstItsRender(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     reason.Code
	}{
		"as it was rendered":     {"IfNotPresent", "IfNotPresent", ""},
		"an image from outside":  {string(chartImage), string(digest.FromString("other")), reason.ImageUnpinned},
		"an image by its tag":    {"127.0.0.1:5127/c@" + string(chartImage), "127.0.0.1:5127/c:1", reason.Grant},
		"the node's network":     {`"spec":{`, `"spec":{"hostNetwork":true,`, reason.Grant},
		"a container beside it":  {`"containers":[`, `"initContainers":[{"name":"x","image":"127.0.0.1:5127/c@` + string(digest.FromString("x")) + `","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}],"containers":[`, reason.ImageUnpinned},
		"no limit of its memory": {`,"memory":"1Gi"`, "", reason.Grant},
	} {
		text := strings.Replace(livePod, c.old, c.new, 1)
		err := CheckLive(policy.Grants{}, bundle.Helm, "crel", []byte(chartRender), Live{Objects: []task.LiveObject{{Object: []byte(text)}}})
		if c.want == "" && err != nil || c.want != "" && !reason.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if err := CheckLive(policy.Grants{}, bundle.Helm, "crel", []byte(chartRender), Live{}); err != nil {
		t.Errorf("nothing runs: %v", err)
	}
}

// The type of the component says what is judged; "" is Compose.
func TestWhatRunsIsJudgedByTheTypeOfItsComponent(t *testing.T) {
	free := Live{Services: []task.Service{{Name: "web", ContainerName: "press-web-1", Facts: task.Facts{Privileged: true}}}}
	for _, profile := range []string{"", bundle.Compose} {
		if err := CheckLive(policy.Grants{}, profile, "press", nil, free); !reason.Is(err, reason.Grant) {
			t.Errorf("%q: %v", profile, err)
		}
	}
	if err := CheckLive(policy.Grants{}, bundle.Helm, "crel", []byte("{"), Live{}); err == nil {
		t.Error("a render that is none")
	}
}

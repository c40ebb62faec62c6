package cluster

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDifferencesAreNamedByTheirPlaces(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want []string
	}{
		{`{"a":1}`, `{"a":1}`, nil},
		{`{}`, `{"a":null}`, []string{"a"}},
		{`{"a":{"b":1,"c":2}}`, `{"a":{"b":1,"c":3}}`, []string{"a.c"}},
		{`{"a":{"b":1}}`, `{"a":[1]}`, []string{"a"}},
		{`{"a":"1"}`, `{"a":1}`, []string{"a"}},
		{`{"z":1,"a":1}`, `{"z":2,"a":2}`, []string{"a", "z"}},
		{`{"a":[{"name":"x","v":1},{"name":"y","v":1}]}`, `{"a":[{"name":"x","v":1},{"name":"y","v":2}]}`, []string{"a[y].v"}},
		{`{"a":[{"name":"x"},{"name":"y"}]}`, `{"a":[{"name":"y"},{"name":"x"}]}`, []string{"a[x].name", "a[y].name"}},
		{`{"a":[1,2]}`, `{"a":[1]}`, []string{"a"}},
		{`{"a":[1,2]}`, `{"a":[1,3]}`, []string{"a[1]"}},
		{`{"labels":{"app.kubernetes.io/name":"x"}}`, `{"labels":{}}`, []string{"labels[app.kubernetes.io/name]"}},
	} {
		var a, b map[string]any
		if json.Unmarshal([]byte(c.a), &a) != nil || json.Unmarshal([]byte(c.b), &b) != nil {
			t.Fatal(c)
		}
		if got := differing("", a, b); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestContainersThatWillNotComeUp(t *testing.T) {
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}
	}
	waiting := func(why string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: why}}
	}
	yes := true
	alone, job := corev1.Pod{}, corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Controller: &yes}}}}
	alone.Status.Phase, job.Status.Phase = corev1.PodFailed, corev1.PodFailed
	for name, c := range map[string]struct {
		pod    corev1.Pod
		status corev1.ContainerStatus
		before int32
		want   string
	}{
		"it runs":                      {alone, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, 0, ""},
		"it pulls":                     {alone, corev1.ContainerStatus{State: waiting("ImagePullBackOff")}, 0, ""},
		"its image has no name":        {alone, corev1.ContainerStatus{State: waiting("InvalidImageName")}, 0, "has no image: "},
		"its image is not there":       {alone, corev1.ContainerStatus{State: waiting("ErrImageNeverPull")}, 0, "has no image: "},
		"it ended often":               {job, corev1.ContainerStatus{RestartCount: 3, LastTerminationState: ended(2)}, 0, "does not stay up: it ended 3 times, with exit code 2"},
		"it ended often before":        {job, corev1.ContainerStatus{RestartCount: 3, LastTerminationState: ended(2)}, 1, ""},
		"it ended well":                {job, corev1.ContainerStatus{RestartCount: 9, LastTerminationState: ended(0)}, 0, ""},
		"a pod by itself ended":        {alone, corev1.ContainerStatus{State: ended(1)}, 0, "ended with exit code 1"},
		"a job's pod ended, who cares": {job, corev1.ContainerStatus{State: ended(1)}, 0, ""},
	} {
		if got := hopeless(&c.pod, c.status, c.before); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestStatesOfContainersReadAsThoseOfAnEngine(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}
	for _, c := range []struct {
		status        corev1.ContainerStatus
		probed        bool
		state, health string
		exit          int
	}{
		{corev1.ContainerStatus{}, true, "created", "", 0},
		{corev1.ContainerStatus{State: running, Ready: true}, true, "running", "healthy", 0},
		{corev1.ContainerStatus{State: running}, true, "running", "starting", 0},
		{corev1.ContainerStatus{State: running, Ready: true}, false, "running", "", 0},
		{corev1.ContainerStatus{State: ended}, false, "exited", "", 3},
		{corev1.ContainerStatus{LastTerminationState: ended}, false, "restarting", "", 3},
		{corev1.ContainerStatus{State: running, LastTerminationState: ended}, false, "running", "", 0},
	} {
		if state, health, exit := stateOf(c.status, c.probed); state != c.state || health != c.health || exit != c.exit {
			t.Errorf("%+v: %s %s %d", c, state, health, exit)
		}
	}
}

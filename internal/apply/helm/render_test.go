package helm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"

func pod(spec string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: " + spec + "\n"
}

func TestRenderOfAStatefulSet(t *testing.T) {
	in := set(input(t, chartOf(t, "database")), "auth.existingSecret", `"mine"`, "replicas", "3", "settings.maxConnections", "1000000")
	out, render := mustRender(t, in)
	again, _ := mustRender(t, in)
	if !bytes.Equal(out.Render, again.Render) {
		t.Error("rendering twice gives other bytes")
	}
	if out.Digest != digest.FromBytes(out.Render) || !slices.Equal(out.Images, []string{pinOf("1")}) || len(out.Volatile) > 0 {
		t.Errorf("result %s %v %v", out.Digest, out.Images, out.Volatile)
	}
	if !slices.Equal(out.Tests, []string{"Pod/r-ping"}) {
		t.Errorf("test hooks %v", out.Tests)
	}
	if want := []string{
		"StatefulSet.apps/r: spec.template.spec.containers[db].resources.limits.cpu",
		"StatefulSet.apps/r: spec.template.spec.containers[db].resources.limits.memory",
	}; !slices.Equal(out.Defaulted, want) {
		t.Errorf("defaulted %v", out.Defaulted)
	}
	var kinds []string
	for _, data := range render.Objects {
		var o struct {
			Kind     string
			Metadata struct {
				Namespace           string
				Labels, Annotations map[string]string
			}
		}
		if err := json.Unmarshal(data, &o); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, o.Kind)
		if o.Metadata.Namespace != "ns" || o.Metadata.Labels[task.LabelDeployment] != "d-1" || o.Metadata.Annotations[task.AnnotationComponent] != "main" {
			t.Errorf("%s has %+v", o.Kind, o.Metadata)
		}
	}
	if want := []string{"PodDisruptionBudget", "ConfigMap", "Service", "StatefulSet"}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %v", kinds)
	}
	set := "StatefulSet.apps/r"
	for path, want := range map[string]string{
		"spec/replicas": "3", "spec/template/metadata/labels/dev.consign.deployment": "d-1",
		"spec/selector/matchLabels":                       "map[app.kubernetes.io/instance:r]",
		"spec/template/spec/containers/0/image":           pinOf("1"),
		"spec/template/spec/containers/0/imagePullPolicy": "IfNotPresent",
		"spec/volumeClaimTemplates/0/metadata":            "map[labels:map[dev.consign.deployment:d-1] name:data]",
	} {
		if got := fmt.Sprint(get(t, render, set, strings.Split(path, "/")...)); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := get(t, render, "ConfigMap/r-config", "data", "db.conf"); got != "max_connections = 1000000" {
		t.Errorf("a whole number is printed as %q", got)
	}
	if err := strictjson.Check(out.Render, task.RenderLimits); err != nil {
		t.Error(err)
	}
	var any map[string]any
	dec := json.NewDecoder(bytes.NewReader(out.Render))
	dec.UseNumber()
	if err := dec.Decode(&any); err != nil {
		t.Fatal(err)
	}
	if canonical, err := json.Marshal(any); err != nil || !bytes.Equal(canonical, out.Render) {
		t.Error("the keys of the render are not sorted")
	}
}

func TestDependencies(t *testing.T) {
	names := func(in task.ChartInput) (out []string) {
		_, render := mustRender(t, in)
		for _, data := range render.Objects {
			var raw map[string]any
			if err := json.Unmarshal(data, &raw); err != nil {
				t.Fatal(err)
			}
			o, _ := newObject("", raw)
			out = append(out, o.id())
		}
		return out
	}
	in := input(t, chartOf(t, "umbrella"))
	if got := names(in); !slices.Equal(got, []string{"Service/r-umbrella", "Pod/r-hot"}) {
		t.Errorf("defaults: %v", got)
	}
	if got := names(set(in, "cold.enabled", "true", "hot.enabled", "false", "tags.observed", "true")); !slices.Equal(got, []string{"ConfigMap/metrics", "Service/r-umbrella", "Pod/r-cold"}) {
		t.Errorf("others: %v", got)
	}
	_, render := mustRender(t, set(in, "hot.size", "11"))
	if got := get(t, render, "Pod/r-hot", "spec", "containers", "0", "args", "0"); got != "--size=11" {
		t.Errorf("a value of a dependency arrives as %v", got)
	}
	if _, err := Render(t.Context(), set(in, "hot.size", "101")); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), "umbrella.hot: values.schema.json") {
		t.Errorf("schema of a dependency: %v", err)
	}
}

func TestImagesEverywhere(t *testing.T) {
	in := input(t, chartOf(t, "operator"))
	in.Capabilities.APIVersions = append(in.Capabilities.APIVersions, "example.com/v1/Worker")
	in.ImageFields = []task.ImageField{{Group: "example.com", Kind: "Worker", Path: "spec.nodes[].image"}}
	out, render := mustRender(t, in)
	if !slices.Equal(out.Images, []string{pinOf("5"), pinOf("6")}) {
		t.Errorf("images %v", out.Images)
	}
	at := []string{"spec", "template", "spec"}
	spec := get(t, render, "DaemonSet.apps/operator", at...)
	got, _ := json.Marshal([]any{
		child(child(child(spec, "containers"), "0"), "args"), child(child(child(spec, "containers"), "0"), "env"), child(spec, "volumes"),
		get(t, render, "Worker.example.com/w", "spec", "nodes"),
		get(t, render, "CronJob.batch/tidy", "spec", "jobTemplate", "spec", "template", "spec", "containers", "0", "image"),
	})
	want := `[["--worker-image=W","W","--other=quay.io/x/other:1"],[{"name":"WORKER","value":"W"},{"name":"APP","value":"operator"}],` +
		`[{"image":{"pullPolicy":"IfNotPresent","reference":"W"},"name":"model"}],[{"image":"W"},{"image":"O"},{"size":1}],"O"]`
	want = strings.NewReplacer(`W"`, pinOf("6")+`"`, `"O"`, `"`+pinOf("5")+`"`).Replace(strings.ReplaceAll(want, `"WORKER"`, `"NAME"`))
	if strings.ReplaceAll(string(got), `"WORKER"`, `"NAME"`) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for path, want := range map[string]string{
		"data/a.conf": "from a file\n", "data/greeting": "hello r in ns", "data/count": "1", "data/install": "true false 1 v3.22.0 37",
	} {
		if got := get(t, render, "ConfigMap/config", strings.Split(path, "/")...); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
	if ns := get(t, render, "ClusterRole.rbac.authorization.k8s.io/operator", "metadata", "namespace"); ns != nil {
		t.Errorf("a cluster role has the namespace %v", ns)
	}
	if ns := get(t, render, "ServiceAccount/operator", "metadata", "namespace"); ns != "ns" {
		t.Errorf("the service account is in %v", ns)
	}
	if ns := get(t, render, "DaemonSet.apps/operator", "metadata", "namespace"); ns != "elsewhere" {
		t.Errorf("the namespace that a chart names became %v", ns)
	}
	for _, place := range []string{"metadata", "spec/jobTemplate/metadata", "spec/jobTemplate/spec/template/metadata"} {
		path := append(strings.Split(place, "/"), "labels", task.LabelDeployment)
		if get(t, render, "CronJob.batch/tidy", path...) != "d-1" {
			t.Errorf("%s of a CronJob has no label", place)
		}
	}
	delete(in.Images, "quay.io/x/worker:1")
	if _, err := Render(t.Context(), in); !reason.Is(err, reason.ImageUnpinned) || !strings.Contains(err.Error(), `DaemonSet.apps/operator: spec.template.spec.volumes[0].image.reference: image "quay.io/x/worker:1"`) {
		t.Errorf("an image volume: %v", err)
	}
}

func TestLimits(t *testing.T) {
	out, render := mustRender(t, input(t, chartOf(t, "certificates")))
	get := func(path ...string) any {
		return get(t, render, "Deployment.apps/server", append([]string{"spec", "template", "spec"}, path...)...)
	}
	server := get("containers", "0", "resources")
	if got, _ := json.Marshal(server); string(got) != `{"limits":{"cpu":"2","memory":"4Gi"},"requests":{"cpu":"100m","memory":"4Gi"}}` {
		t.Errorf("server has %s", got)
	}
	wait := get("initContainers", "0", "resources")
	l := input(t, small("")).Limits
	if got := fmt.Sprint(wait); got != fmt.Sprintf("map[limits:map[cpu:%v memory:%d] requests:map[cpu:0 memory:0]]", l.CPUs, l.Memory) {
		t.Errorf("an init container has %s", got)
	}
	if len(out.Defaulted) != 3 {
		t.Errorf("defaulted %v", out.Defaulted)
	}
}

func TestListOfImages(t *testing.T) {
	in := imagesInput(input(t, chartOf(t, "operator")))
	out, err := Images(t.Context(), in)
	if err != nil || !slices.Equal(out.Images, []string{"docker.io/library/operator:latest", "quay.io/x/worker:1"}) || out.Chart.Name != "operator" {
		t.Errorf("%+v, %v", out, err)
	}
	in.Values = map[string]json.RawMessage{"image": json.RawMessage(`"other:3"`)}
	if out, err = Images(t.Context(), in); err != nil || !slices.Contains(out.Images, "docker.io/library/other:3") {
		t.Errorf("%+v, %v", out, err)
	}
	in.Chart = pack(t, small(configMap))
	if out, err = Images(t.Context(), in); err != nil || out.Images == nil || len(out.Images) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

// What no device could render the same way again is refused when it is packed.
func TestListOfImagesOfAnUnstableChart(t *testing.T) {
	name := strings.Replace(configMap, "name: c", "name: c-{{ randAlphaNum 20 | lower }}", 1)
	if _, err := Images(t.Context(), imagesInput(input(t, small(name)))); !reason.Is(err, reason.Render) || !strings.Contains(err.Error(), "the name of a ConfigMap") {
		t.Errorf("a name: %v", err)
	}
	image := pod(`{containers: [{name: a, image: "app:{{ randAlphaNum 20 }}"}]}`)
	if _, err := Images(t.Context(), imagesInput(input(t, small(image)))); !reason.Is(err, reason.Render) || !strings.Contains(err.Error(), "/spec/containers/0/image") {
		t.Errorf("an image: %v", err)
	}
}

func TestRenderRefusesItsInput(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*task.ChartInput)
		code   reason.Code
		says   string
	}{
		"release":      {func(in *task.ChartInput) { in.Release = strings.Repeat("a", 54) }, reason.Malformed, "release"},
		"namespace":    {func(in *task.ChartInput) { in.Namespace = "A" }, reason.Malformed, "namespace"},
		"no label":     {func(in *task.ChartInput) { in.Labels = nil }, reason.Malformed, "dev.consign.deployment is missing"},
		"bad label":    {func(in *task.ChartInput) { in.Labels["x"] = "a b" }, reason.Malformed, "cannot be a label"},
		"limits":       {func(in *task.ChartInput) { in.Limits.Memory = 0 }, reason.Malformed, "limits"},
		"image by tag": {func(in *task.ChartInput) { in.Images["app:1"] = "app:1" }, reason.ImageUnpinned, "not a reference by digest"},
		"two pins":     {func(in *task.ChartInput) { in.Images["docker.io/library/app:1"] = pinOf("9") }, reason.Malformed, "pinned to both"},
		"image field":  {func(in *task.ChartInput) { in.ImageFields = []task.ImageField{{Kind: "X", Path: "a..b"}} }, reason.Malformed, "imageFields"},
		"kube version": {func(in *task.ChartInput) { in.Capabilities.KubeVersion = "new" }, reason.Malformed, "kubeVersion"},
		"api version":  {func(in *task.ChartInput) { in.Capabilities.APIVersions = []string{"a b"} }, reason.Malformed, "apiVersions"},
		"previous":     {func(in *task.ChartInput) { in.Previous = []byte("{}x") }, reason.Malformed, "previous"},
		"another's render": {func(in *task.ChartInput) {
			in.Previous = []byte(`{"chart":{"name":"a","version":"1"},"namespace":"ns","objects":[],"release":"other","values":{}}`)
		}, reason.Malformed, `render of "other"`},
	} {
		in := input(t, small(configMap))
		c.change(&in)
		if _, err := Render(t.Context(), in); !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each is a chart of its own: what it is refused for, and in which words.
func TestRenderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		chart files
		code  reason.Code
		says  string
	}{
		"lookup":               {small(`{{ if lookup "v1" "Secret" "" "x" }}{{ end }}` + configMap), reason.Render, "function lookup reads objects of a cluster"},
		"lookup in a helper":   {small(configMap).with("templates/_h.tpl", `{{ define "x" }}{{ range (lookup "v1" "Pod" "" "").items }}{{ end }}{{ end }}`), reason.Render, "small/templates/_h.tpl: function lookup"},
		"lookup in a value":    {small(configMap+"data: {a: {{ tpl .Values.a . | quote }}}").with("values.yaml", `a: '{{ (lookup "v1" "Pod" "" "").x }}'`), reason.Render, "values.a: function lookup"},
		"lookup put together":  {small(configMap + "data: {a: {{ tpl (printf \"{{ %s%s `v1` `Pod` `` `` }}\" `look` `up`) . | quote }}}"), reason.Render, "lookup: a render sees no cluster"},
		"name server":          {small(configMap + `data: {a: {{ getHostByName "example.com" | quote }}}`), reason.Render, "getHostByName"},
		"time span":            {small(configMap + `data: {a: {{ now | ago | quote }}}`), reason.Render, "function ago"},
		"environment":          {small(configMap + `data: {a: {{ env "HOME" | quote }}}`), reason.Render, `function "env" not defined`},
		"crds directory":       {small(configMap).with("crds/x.yaml", "a: 1"), reason.Render, "custom resource definitions"},
		"crd":                  {small("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n"), reason.Render, "custom resource definitions"},
		"hook":                 {small("apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, annotations: {helm.sh/hook: 'test,pre-install'}}\n"), reason.Render, `hook "pre-install": Margo does not allow`},
		"unknown hook":         {small("apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, annotations: {helm.sh/hook: crd-install}}\n"), reason.Render, `hook "crd-install"`},
		"kept at removal":      {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, annotations: {helm.sh/resource-policy: keep}}\n"), reason.Render, "would outlive"},
		"another's release":    {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, annotations: {meta.helm.sh/release-name: x}}\n"), reason.Render, "meta.helm.sh/release-name"},
		"missing dependency":   {small(configMap).with("Chart.yaml", chartYAML+"dependencies: [{name: db, version: 1.0.0, repository: 'https://example.com', condition: db.enabled}]\n"), reason.Render, `dependency "db" 1.0.0 is not in charts/`},
		"wrong version":        {small(configMap).with("Chart.yaml", chartYAML+"dependencies: [{name: db, version: 2.x}]\n", "charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"), reason.Render, `dependency "db" 2.x`},
		"missing further down": {small(configMap).with("charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\ndependencies: [{name: x, version: 1.0.0}]\n"), reason.Render, `chart small.db: dependency "x"`},
		"twice in charts":      {small(configMap).with("charts/a/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n", "charts/b/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"), reason.Malformed, "db 1.0.0 is in charts/ twice"},
		"old chart":            {small(configMap).with("Chart.yaml", "apiVersion: v1\nname: small\nversion: 1.0.0\n"), reason.Malformed, "only v2"},
		"old dependency":       {small(configMap).with("charts/db/Chart.yaml", "apiVersion: v1\nname: db\nversion: 1.0.0\n"), reason.Malformed, "small.db"},
		"library":              {small(configMap).with("Chart.yaml", chartYAML+"type: library\n"), reason.Render, "is a library"},
		"kube version":         {small(configMap).with("Chart.yaml", chartYAML+"kubeVersion: '<1.30.0'\n"), reason.Ineligible, "v1.37.2"},
		"no Chart.yaml":        {files{"templates/a.yaml": configMap}, reason.Malformed, "Chart.yaml file is missing"},
		"no objects":           {small("# nothing\n"), reason.Render, "makes no objects"},
		"template error":       {small(`{{ fail "not so" }}`), reason.Render, "not so"},
		"syntax error":         {small(`{{ now`), reason.Render, "templates/all.yaml"},
		"key twice":            {small(configMap + "data: {a: '1'}\ndata: {a: '2'}\n"), reason.Render, `"data" already set`},
		"second document":      {small(configMap + "...\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"), reason.Render, "more than one document"},
		"hidden document":      {small("apiVersion: v1\rkind: ConfigMap\rmetadata: {name: c}\r---\rapiVersion: v1\rkind: Secret\r"), reason.Render, "more than one document"},
		"after a separator":    {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\u2028---\u2028kind: Secret\n"), reason.Render, "more than one document"},
		"directive":            {small("%YAML 1.1\n---\n" + configMap), reason.Render, "directive"},
		"no object":            {small("[1, 2]\n"), reason.Render, "not a Kubernetes object"},
		"no kind":              {small("apiVersion: v1\nmetadata: {name: c}\n"), reason.Render, "no Kubernetes object"},
		"kind is no text":      {small("apiVersion: v1\nkind: 1\nmetadata: {name: c}\n"), reason.Render, "no Kubernetes object"},
		"no name":              {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {a: b}}\n"), reason.Render, "metadata.name is missing"},
		"generated name":       {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, generateName: c-}\n"), reason.Render, "generateName"},
		"name is a path":       {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../c}\n"), reason.Render, "not a name"},
		"list":                 {small("apiVersion: v1\nkind: List\nmetadata: {name: l}\nitems: []\n"), reason.Render, "documents of their own"},
		"label is a number":    {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {a: 1}}\n"), reason.Render, "metadata.labels.a: not text"},
		"the same twice":       {small(configMap + "---\n" + configMap), reason.Render, "another object has it"},
		"empty element":        {small(pod("{containers: [null]}")), reason.Render, "empty element"},
		"too deep":             {small(configMap + "data: " + strings.Repeat("{a: ", 40) + "1" + strings.Repeat("}", 40)), reason.TooLarge, "deeper"},
		"aliases":              {small(configMap + "x0: &x0 [1,1,1,1,1,1,1,1,1,1]\n" + bomb(8)), reason.TooLarge, "aliases"},
		"our label":            {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {dev.consign.deployment: x}}\n"), reason.Render, "is for Consign to set"},
		"a label like ours":    {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, annotations: {dev.consign.other: x}}\n"), reason.Render, "is for Consign to set"},
		"our label in a template": {small("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {metadata: {labels: {dev.consign.deployment: x}}, spec: {containers: []}}}\n"),
			reason.Render, "spec.template.metadata.labels.dev.consign.deployment"},
		"image":              {small(pod("{initContainers: [{name: a, image: 'b:1'}]}")), reason.ImageUnpinned, `Pod/p: spec.initContainers[a].image: image "b:1" is not in the bundle`},
		"ephemeral image":    {small(pod("{ephemeralContainers: [{name: a, image: 'b:1'}]}")), reason.ImageUnpinned, "ephemeralContainers[a]"},
		"no image":           {small(pod("{containers: [{name: a}]}")), reason.ImageUnpinned, "names no image"},
		"image of no form":   {small(pod("{containers: [{name: a, image: 'A B'}]}")), reason.ImageUnpinned, "containers[a].image"},
		"image volume":       {small(pod("{volumes: [{name: v, image: {reference: 'b:1'}}]}")), reason.ImageUnpinned, "volumes[0].image.reference"},
		"containers no list": {small(pod("{containers: {a: 1}}")), reason.Render, "spec.containers: not a list"},
		"no spec":            {small("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"), reason.Render, "spec: is missing"},
		"no quantity":        {small(pod("{containers: [{name: a, image: 'app:1', resources: {limits: {cpu: much}}}]}")), reason.Render, "limits.cpu: not a quantity"},
		"volatile name":      {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ randAlphaNum 8 | lower }}}\n"), reason.Render, "name of a ConfigMap is another one"},
		"volatile date name": {small("apiVersion: batch/v1\nkind: Job\nmetadata: {name: j-{{ now | date \"2006\" }}}\nspec: {template: {spec: {}}}\n"), reason.Render, "name of a Job"},
		"volatile image":     {small(pod(`{containers: [{name: a, image: "app:{{ randNumeric 9 }}"}]}`)), reason.Render, "/spec/containers/0/image"},
		"volatile command":   {small(pod(`{containers: [{name: a, image: "app:1", command: [{{ randAlpha 9 }}]}]}`)), reason.Render, "/spec/containers/0/command/0"},
		"volatile number":    {small("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: {{ randInt 1 1000000000 }}}]}\n"), reason.Render, "/spec/ports/0/port"},
		"volatile key":       {small(configMap + "data: {k{{ randAlpha 9 }}: '1'}\n"), reason.Render, "other parts"},
		"volatile label":     {small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {a: x{{ randAlpha 9 }}}}\n"), reason.Render, "/metadata/labels/a"},
	} {
		_, err := Render(t.Context(), input(t, c.chart))
		if !reason.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bomb makes much of aliases.
func bomb(levels int) string {
	var b strings.Builder
	for i := range levels {
		fmt.Fprintf(&b, "x%d: &x%d [%s*x%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*x%d, ", i), 9), i)
	}
	return b.String()
}

// A chart whose renders differ without a function that would explain it lists
// the keys of a mapping in no order. With thirty keys two renders never agree.
func TestUnstableOrderIsRefused(t *testing.T) {
	var values strings.Builder
	for i := range 30 {
		fmt.Fprintf(&values, "k%d: 1\n", i)
	}
	chart := small(configMap+`data: {a: {{ keys .Values | join "," | quote }}}`).with("values.yaml", values.String())
	if _, err := Render(t.Context(), input(t, chart)); !reason.Is(err, reason.Render) || !strings.Contains(err.Error(), "sort it") {
		t.Errorf("got %v", err)
	}
	sorted := chart.with("templates/all.yaml", configMap+`data: {a: {{ keys .Values | sortAlpha | join "," | quote }}}`)
	mustRender(t, input(t, sorted))
}

// A template may write into the values. The second render has its own.
func TestTemplatesThatWriteIntoValues(t *testing.T) {
	mustRender(t, input(t, small(`{{ $_ := set .Values "n" (add1 (default 0 .Values.n)) }}`+configMap+`data: {a: "{{ .Values.n }}"}`)))
}

// An object as deep as is accepted is within what the agent reads.
func TestDepthOfARender(t *testing.T) {
	accepted := 0
	for depth := 1; depth < 40; depth++ {
		out, err := Render(t.Context(), input(t, small(configMap+"data: "+strings.Repeat("{a: ", depth)+"1"+strings.Repeat("}", depth))))
		if err != nil {
			continue
		}
		accepted = depth
		if err := strictjson.Check(out.Render, task.RenderLimits); err != nil {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
	if accepted < 20 {
		t.Errorf("only %d deep", accepted)
	}
	deep := strings.Repeat("a.", maxSteps-1) + "a"
	out, err := Render(t.Context(), set(input(t, small(configMap)), deep, "[[[[[1]]]]]"))
	if err != nil || strictjson.Check(out.Render, task.RenderLimits) != nil {
		t.Errorf("values: %v", err)
	}
}

// The templates of a dependency with two aliases are there once.
func TestTheClockOfAnAliasedDependency(t *testing.T) {
	chart := small(configMap).with("Chart.yaml", chartYAML+"dependencies: [{name: d, version: 1.0.0, alias: one}, {name: d, version: 1.0.0, alias: two}]\n",
		"charts/d/Chart.yaml", "apiVersion: v2\nname: d\nversion: 1.0.0\n",
		"charts/d/templates/a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Chart.Name }}}\nstringData: {a: {{ now | date \"2006\" | quote }}, b: {{ now | date \"Jan\" }}}\n")
	out, err := Render(t.Context(), input(t, chart))
	if err != nil || len(out.Volatile) != 4 {
		t.Errorf("%v, %v", out.Volatile, err)
	}
}

// The chart gets the name of a Secret; nothing of the secret itself is there to render.
func TestSecretsAreNames(t *testing.T) {
	in := input(t, small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: {{ .Values.auth.secret }}, b: {{ .Values.same }}}\n").with("values.yaml", "auth: {secret: ''}\nsame: x\n"))
	in.Secrets = map[string]string{"auth.secret": "line_7.db", "same": "line_7.db"}
	_, render := mustRender(t, in)
	want := task.SecretObject(in.Release, "line_7.db")
	if got := get(t, render, "ConfigMap/c", "data"); !reflect.DeepEqual(got, map[string]any{"a": want, "b": want}) || !slices.Equal(render.Secrets, []string{"line_7.db"}) {
		t.Errorf("the chart got %v, the render names %q; want %q", got, render.Secrets, want)
	}
	if !reflect.DeepEqual(render.Values, map[string]any{"auth": map[string]any{"secret": want}, "same": want}) {
		t.Errorf("values %v", render.Values)
	}
	in.Secrets["none"] = ""
	if _, err := Render(t.Context(), in); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("a secret without a name: %v", err)
	}
	delete(in.Secrets, "none")
	if _, err := Render(t.Context(), set(in, "same", `"x"`)); !reason.Is(err, reason.Malformed) || !strings.Contains(err.Error(), `"same"`) {
		t.Errorf("a secret where a value is: %v", err)
	}
}

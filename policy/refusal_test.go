package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// A value that may have come from a parameter stands in the text for the
// terminal and not in the one for the log, wherever in a project it is.
func TestLogTextHoldsNoValues(t *testing.T) {
	const secret = "hunter2"
	yaml := service(`volumes: [{type: bind, source: /srv/hunter2, target: /x}, 'data:/hunter2:z']
cap_add: [hunter2]
devices: ['/dev/hunter2:/dev/x']
environment: ["hunter2"]
labels: ["com.docker.hunter2=1"]
sysctls: ["net.hunter2=1"]
dns_search: [hunter2]
extra_hosts: ["hunter2:10.0.0.1"]
security_opt: ["apparmor=hunter2"]
logging: {driver: hunter2, options: {hunter2: hunter2}}
runtime: hunter2
network_mode: container:hunter2
pid: container:hunter2
restart: hunter2
user: hunter2
tmpfs: ["/t:hunter2"]
container_name: hunter2
cpuset: hunter2
ulimits: {hunter2: 5}`) + "volumes: {data: {}, x: {name: hunter2, driver: hunter2, driver_opts: {a: hunter2}}}\n"
	err := (policy.Grants{}).CheckCompose(resolve(t, yaml))
	var excess *policy.Excess
	if !reason.Is(err, reason.Grant) || !errors.As(err, &excess) {
		t.Fatalf("got %v", err)
	}
	if got := excess.LogText(); strings.Contains(got, secret) || strings.Contains(got, "10.0.0.1") {
		t.Errorf("the log would hold: %s", got)
	}
	for _, want := range []string{"services.web.cap_add[0] (", "services.web.volumes[0] (needs the grant hostPaths)", "services.web.environment.* (has no value", "services.web.extra_hosts[0] (needs the grant extraHosts)", "more"} {
		if !strings.Contains(excess.LogText(), want) {
			t.Errorf("%q is not in the log's text: %s", want, excess.LogText())
		}
	}
	for _, want := range []string{`services.web.cap_add[0] (never granted: only the name of a capability, such as NET_ADMIN; ALL is written out, or is privileged, not "HUNTER2")`, `hostPaths for "/srv/hunter2:rw"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the text: %v", want, err)
		}
	}
}

package policy_test

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// running is a container as the engine reports it after an ordinary apply.
func running() task.Service {
	return task.Service{Name: "web", ContainerName: "press-web-1", State: "running", Facts: task.Facts{
		Network: "press_default", Networks: []string{"press_default"}, Image: image,
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"}, ReadOnly: true,
		Mounts: []task.MountFact{
			{Type: "volume", Source: "press_data", Target: "/data", Driver: "local"},
			{Type: "volume", Source: strings.Repeat("ab", 32), Target: "/cache", Driver: "local", Anonymous: true},
			{Type: "tmpfs", Target: "/tmp", Options: "size=1m", Size: 1 << 20},
		},
		Ports:  []task.PortFact{{Target: 80, Protocol: "tcp", HostIP: "127.0.0.1", Published: "8080"}, {Target: 81, Protocol: "tcp"}},
		Memory: 1 << 30, MemorySwap: 2 << 30, NanoCPUs: 1e9, PIDs: 512, SharedMemory: 64 << 20, Restart: "unless-stopped",
		LogDriver: "json-file", LogOptions: map[string]string{"max-size": "10m", "max-file": "3"},
	}}
}

func TestLiveContainersWithinTheGrants(t *testing.T) {
	if err := (policy.Grants{}).CheckLive("press", []task.Service{running(), running()}); err != nil {
		t.Errorf("what an apply makes: %v", err)
	}
	if err := (policy.Grants{}).CheckLive("press", nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

// Each change by hand is found, and covered by its grant where there is one.
func TestLiveContainersBeyondTheGrants(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*task.Facts)
		want   string
		grant  policy.ServiceGrants
	}{
		"privileged":       {func(f *task.Facts) { f.Privileged = true }, "privileged (needs", policy.ServiceGrants{Privileged: true}},
		"capability":       {func(f *task.Facts) { f.CapAdd = []string{"CAP_NET_ADMIN"} }, "cap_add[0] (needs", policy.ServiceGrants{Capabilities: []string{"NET_ADMIN"}}},
		"all capabilities": {func(f *task.Facts) { f.CapAdd = []string{"ALL"} }, "cap_add[0] (never", policy.ServiceGrants{}},
		"seccomp":          {func(f *task.Facts) { f.SecurityOpt = []string{"seccomp=unconfined"} }, "security_opt[0]", policy.ServiceGrants{SecurityOpt: []string{"seccomp=unconfined"}}},
		"system paths":     {func(f *task.Facts) { f.Unmasked = true }, "systempaths=unconfined", policy.ServiceGrants{SecurityOpt: []string{"systempaths=unconfined"}}},
		"device": {func(f *task.Facts) {
			f.Devices = []task.DeviceFact{{Source: "/dev/ttyS0", Target: "/dev/x", Permissions: "rwm"}}
		}, `devices for "/dev/ttyS0:rwm"`, policy.ServiceGrants{Devices: []string{"/dev/ttyS*:rwm"}}},
		"disk": {func(f *task.Facts) {
			f.Devices = []task.DeviceFact{{Source: "/dev/sda", Target: "/dev/x", Permissions: "rwm"}}
		}, "devices[0] (never", policy.ServiceGrants{}},
		"device rule": {func(f *task.Facts) { f.DeviceRules = []string{"a *:* rwm"} }, "device_cgroup_rules[0] (never", policy.ServiceGrants{}},
		"gpu": {func(f *task.Facts) {
			f.DeviceRequests = []task.DeviceRequestFact{{Driver: "nvidia", Capabilities: []string{"gpu"}}}
		}, "gpus[0]", policy.ServiceGrants{GPUs: true}},
		"device by driver": {func(f *task.Facts) {
			f.DeviceRequests = []task.DeviceRequestFact{{Driver: "cdi", IDs: []string{"v.com/disk=0"}}}
		}, "gpus[0].driver", policy.ServiceGrants{}},
		"bind": {func(f *task.Facts) {
			f.Mounts[0] = task.MountFact{Type: "bind", Source: "/srv/a", Target: "/a", Propagation: "rprivate"}
		}, `hostPaths for "/srv/a:rw"`, policy.ServiceGrants{HostPaths: []string{"/srv/a:rw"}}},
		"bind of the root": {func(f *task.Facts) { f.Mounts[0] = task.MountFact{Type: "bind", Source: "/", Target: "/a"} }, "volumes[0] (never", policy.ServiceGrants{}},
		"shared bind": {func(f *task.Facts) {
			f.Mounts[0] = task.MountFact{Type: "bind", Source: "/srv/a", Target: "/a", Propagation: "rshared"}
		}, "propagation", policy.ServiceGrants{}},
		"engine socket": {func(f *task.Facts) {
			f.Mounts[0] = task.MountFact{Type: "bind", Source: "/var/run/docker.sock", Target: "/s"}
		}, "engineSocket", policy.ServiceGrants{EngineSocket: true}},
		"other's volume":    {func(f *task.Facts) { f.Mounts[0].Source = "other_data" }, "volumes[0].source", policy.ServiceGrants{}},
		"volume's options":  {func(f *task.Facts) { f.Mounts[0].Options = "device=/,o=bind" }, "volumes[0] (never", policy.ServiceGrants{}},
		"volume's driver":   {func(f *task.Facts) { f.Mounts[0].Driver = "nfs" }, "volumes[0] (never", policy.ServiceGrants{}},
		"tmpfs without end": {func(f *task.Facts) { f.Mounts[2].Size = 0 }, "volumes[2].tmpfs.size", policy.ServiceGrants{}},
		"other mount":       {func(f *task.Facts) { f.Mounts[0].Type = "cluster" }, "volumes[0] (type", policy.ServiceGrants{}},
		"volumes from":      {func(f *task.Facts) { f.VolumesFrom = []string{"x"} }, "volumes_from", policy.ServiceGrants{}},
		"host network":      {func(f *task.Facts) { f.Network, f.Networks = "host", []string{"host"} }, "network_mode", policy.ServiceGrants{HostNetwork: true}},
		"other's namespace": {func(f *task.Facts) { f.Network, f.Networks = "container:abc", nil }, "network_mode (must be", policy.ServiceGrants{}},
		"engine's bridge":   {func(f *task.Facts) { f.Network, f.Networks = "bridge", []string{"bridge"} }, "networks.bridge", policy.ServiceGrants{}},
		"other's network":   {func(f *task.Facts) { f.Networks = append(f.Networks, "other_default") }, "networks.other_default", policy.ServiceGrants{}},
		"host pid":          {func(f *task.Facts) { f.PID = "host" }, "pid (", policy.ServiceGrants{HostPID: true}},
		"host ipc":          {func(f *task.Facts) { f.IPC = "host" }, "ipc (", policy.ServiceGrants{HostIPC: true}},
		"host uts":          {func(f *task.Facts) { f.UTS = "host" }, "uts (", policy.ServiceGrants{HostUTS: true}},
		"host userns":       {func(f *task.Facts) { f.UserNS = "host" }, "userns_mode (", policy.ServiceGrants{HostUserNS: true}},
		"host cgroup":       {func(f *task.Facts) { f.Cgroup = "host" }, "cgroup (", policy.ServiceGrants{HostCgroup: true}},
		"cgroup parent":     {func(f *task.Facts) { f.CgroupParent = "/" }, "cgroup_parent", policy.ServiceGrants{}},
		"sysctl":            {func(f *task.Facts) { f.Sysctls = map[string]string{"net.a": "1"} }, "sysctls", policy.ServiceGrants{Sysctls: []string{"net.a=1"}}},
		"ulimit":            {func(f *task.Facts) { f.Ulimits = []task.UlimitFact{{Name: "rtprio", Soft: 99, Hard: 99}} }, "ulimits", policy.ServiceGrants{Ulimits: []string{"rtprio=99:99"}}},
		"runtime":           {func(f *task.Facts) { f.Runtime = "other" }, "runtime", policy.ServiceGrants{Runtimes: []string{"other"}}},
		"annotations":       {func(f *task.Facts) { f.Annotations = 1 }, "annotations", policy.ServiceGrants{}},
		"killed last":       {func(f *task.Facts) { f.OOMScore = -1000 }, "oom_score_adj", policy.ServiceGrants{}},
		"never killed":      {func(f *task.Facts) { f.NoOOMKill = true }, "oom_kill_disable", policy.ServiceGrants{}},
		"low port":          {func(f *task.Facts) { f.Ports[0].Published = "80" }, "ports[0].published", policy.ServiceGrants{Ports: []string{"80/tcp"}}},
		"port range":        {func(f *task.Facts) { f.Ports[0].Published = "8080-8090" }, "ports[0].published", policy.ServiceGrants{}},
		"dns":               {func(f *task.Facts) { f.DNS = []string{"6.6.6.6"} }, "dns[0]", policy.ServiceGrants{DNS: []string{"6.6.6.6"}}},
		"extra host":        {func(f *task.Facts) { f.ExtraHosts = []string{"a=6.6.6.6"} }, "extra_hosts[0]", policy.ServiceGrants{ExtraHosts: []string{"a=6.6.6.6"}}},
		"link":              {func(f *task.Facts) { f.Links = []string{"/x:/y"} }, "external_links", policy.ServiceGrants{}},
		"no memory limit":   {func(f *task.Facts) { f.Memory = 0 }, "mem_limit (is missing)", policy.ServiceGrants{}},
		"swap without end":  {func(f *task.Facts) { f.MemorySwap = -1 }, "memswap_limit", policy.ServiceGrants{}},
		"no cpu limit":      {func(f *task.Facts) { f.NanoCPUs = 0 }, "cpus (is missing)", policy.ServiceGrants{}},
		"no pids limit":     {func(f *task.Facts) { f.PIDs = 0 }, "pids_limit (is missing)", policy.ServiceGrants{}},
		"unlimited pids":    {func(f *task.Facts) { f.PIDs = -1 }, "pids_limit (must", policy.ServiceGrants{}},
		"other limits":      {func(f *task.Facts) { f.OtherLimits = []string{"cpu-realtime"} }, "cpu-realtime (never", policy.ServiceGrants{}},
		"processors":        {func(f *task.Facts) { f.CPUSet = "0" }, "cpuset", policy.ServiceGrants{CPUSets: []string{"0"}}},
		"log driver":        {func(f *task.Facts) { f.LogDriver, f.LogOptions = "syslog", nil }, "logging.driver", policy.ServiceGrants{LogDrivers: []string{"syslog"}}},
		"log without end":   {func(f *task.Facts) { f.LogOptions = nil }, "max-size (is missing)", policy.ServiceGrants{}},
		"image":             {func(f *task.Facts) { f.Image = "nginx:latest" }, "image", policy.ServiceGrants{}},
		"cut":               {func(f *task.Facts) { f.Cut = true }, "can be judged", policy.ServiceGrants{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := running()
			c.change(&s.Facts)
			err := (policy.Grants{}).CheckLive("press", []task.Service{running(), s})
			if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "containers.press-web-1") || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want grant with %q", err, c.want)
			}
			g := policy.Grants{Compose: map[string]policy.ServiceGrants{"web": c.grant}}
			granted := g.CheckLive("press", []task.Service{s})
			if want := !reflect.DeepEqual(c.grant, policy.ServiceGrants{}); (granted == nil) != want {
				t.Errorf("with the grant: %v", granted)
			}
			s.Name = "other"
			if err := g.CheckLive("press", []task.Service{s}); !reason.Is(err, reason.Grant) {
				t.Errorf("under another service's label: %v", err)
			}
		})
	}
}

// Compose asks for 2.6 processors as int64(float32(2.6) * 1e9).
func TestLiveProcessorsAreComparedAsComposeCounts(t *testing.T) {
	for _, cpus := range []float32{0.1, 0.7, 1.3, 2.6, 3.3, 63.9} {
		s := running()
		s.Facts.NanoCPUs = int64(cpus * 1e9)
		g := policy.Grants{Limits: policy.Limits{CPUs: must(strconv.ParseFloat(strconv.FormatFloat(float64(cpus), 'g', -1, 32), 64))}}
		if err := g.CheckLive("press", []task.Service{s}); err != nil {
			t.Errorf("%v: %v", cpus, err)
		}
		s.Facts.NanoCPUs += 1e6
		if err := g.CheckLive("press", []task.Service{s}); err == nil {
			t.Errorf("%v: a thousandth more is accepted", cpus)
		}
	}
}

func TestLiveContainersAreCounted(t *testing.T) {
	var many []task.Service
	for range 17 {
		many = append(many, running())
	}
	err := (policy.Grants{}).CheckLive("press", many)
	if !reason.Is(err, reason.Grant) || !strings.Contains(err.Error(), "containers (at most 16 containers") {
		t.Errorf("got %v", err)
	}
}

// The facts come from a program; what is beyond their bounds is no fact.
func TestLiveFactsAreBounded(t *testing.T) {
	s := running()
	s.Facts.Runtime = strings.Repeat("x", task.MaxFactText+1)
	if err := (policy.Grants{}).CheckLive("press", []task.Service{s}); !reason.Is(err, reason.TooLarge) {
		t.Errorf("got %v", err)
	}
	s.Facts.Fit()
	if err := (policy.Grants{}).CheckLive("press", []task.Service{s}); !reason.Is(err, reason.Grant) {
		t.Errorf("cut facts: %v", err)
	}
}

package composefile

import (
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/apply/task"
)

// SetLimits gives every container what it does not say itself of processor
// time, memory, processes, size of the log and of each tmpfs. What a service
// says stays, however much it is: whether that is allowed is for the policy,
// which sees the result.
func SetLimits(p *types.Project, l task.Limits) {
	for name, s := range p.Services {
		limitResources(&s, l)
		limitLog(&s, l)
		limitTmpfs(&s, l)
		p.Services[name] = s
	}
}

// limitResources leaves alone what "deploy" limits, which Compose puts above
// the service's own keys.
func limitResources(s *types.ServiceConfig, l task.Limits) {
	var deployed types.Resource
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		deployed = *s.Deploy.Resources.Limits
	}
	if s.MemLimit == 0 && deployed.MemoryBytes == 0 {
		s.MemLimit = types.UnitBytes(l.Memory)
	}
	if s.CPUS == 0 && deployed.NanoCPUs == 0 {
		s.CPUS = float32(l.CPUs)
	}
	if s.PidsLimit == 0 && deployed.Pids == 0 {
		s.PidsLimit = l.PIDs
	}
	if l.Storage > 0 && s.StorageOpt["size"] == "" {
		s.StorageOpt = map[string]string{"size": strconv.FormatInt(l.Storage, 10)}
	}
}

// limitLog names the driver, since the engine's default may be any, and bounds
// the two that keep files. Options of other drivers are not ours to know.
func limitLog(s *types.ServiceConfig, l task.Limits) {
	log := types.LoggingConfig{}
	if s.Logging != nil {
		log = *s.Logging
	}
	if log.Driver == "" {
		log.Driver = "json-file"
	}
	if log.Driver == "json-file" || log.Driver == "local" {
		options := types.Options{"max-size": sizeText(l.LogFile), "max-file": strconv.FormatInt(l.LogFiles, 10)}
		for name, value := range log.Options {
			options[name] = value
		}
		log.Options = options
	}
	s.Logging = &log
}

// sizeText spells a size in the largest unit that is exact.
func sizeText(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "m"
	case n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "k"
	default:
		return strconv.FormatInt(n, 10)
	}
}

func limitTmpfs(s *types.ServiceConfig, l task.Limits) {
	s.Tmpfs = append(types.StringList(nil), s.Tmpfs...)
	for i, mount := range s.Tmpfs {
		path, options, found := strings.Cut(mount, ":")
		switch {
		case !found || options == "":
			s.Tmpfs[i] = path + ":size=" + strconv.FormatInt(l.Tmpfs, 10)
		case !strings.Contains(","+options, ",size="):
			s.Tmpfs[i] = mount + ",size=" + strconv.FormatInt(l.Tmpfs, 10)
		}
	}
	for i, v := range s.Volumes {
		if v.Type != types.VolumeTypeTmpfs {
			continue
		}
		tmpfs := types.ServiceVolumeTmpfs{}
		if v.Tmpfs != nil {
			tmpfs = *v.Tmpfs
		}
		if tmpfs.Size == 0 {
			tmpfs.Size = types.UnitBytes(l.Tmpfs)
		}
		s.Volumes[i].Tmpfs = &tmpfs
	}
}

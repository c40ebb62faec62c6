package composefile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/apply/task"
)

// SetLimits gives every container what it does not say itself of processor
// time, memory, processes, size of the log and of each tmpfs. What a service
// says stays, however much it is: whether that is allowed is for the policy,
// which sees the result. It returns the places that it filled, sorted.
func SetLimits(p *types.Project, l task.Limits) []string {
	var filled []string
	for name, s := range p.Services {
		f := filler{service: name, limits: l}
		f.resources(&s)
		f.log(&s)
		f.tmpfs(&s)
		p.Services[name] = s
		filled = append(filled, f.filled...)
	}
	slices.Sort(filled)
	return filled
}

// filler sets the limits of one service and keeps account of it.
type filler struct {
	service string
	limits  task.Limits
	filled  []string
}

func (f *filler) note(at string) { f.filled = append(f.filled, "services."+f.service+"."+at) }

// resources leaves alone what "deploy" limits, which Compose puts above the
// service's own keys.
func (f *filler) resources(s *types.ServiceConfig) {
	var deployed types.Resource
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		deployed = *s.Deploy.Resources.Limits
	}
	if s.MemLimit == 0 && deployed.MemoryBytes == 0 {
		s.MemLimit = types.UnitBytes(f.limits.Memory)
		f.note("mem_limit")
	}
	if s.CPUS == 0 && deployed.NanoCPUs == 0 {
		s.CPUS = float32(f.limits.CPUs)
		f.note("cpus")
	}
	if s.PidsLimit == 0 && deployed.Pids == 0 {
		s.PidsLimit = f.limits.PIDs
		f.note("pids_limit")
	}
	if f.limits.Storage > 0 && s.StorageOpt["size"] == "" {
		s.StorageOpt = map[string]string{"size": strconv.FormatInt(f.limits.Storage, 10)}
		f.note("storage_opt.size")
	}
}

// log names the driver, since the engine's default may be any, and bounds the
// two that keep files. Options of other drivers are not ours to know.
func (f *filler) log(s *types.ServiceConfig) {
	log := types.LoggingConfig{}
	if s.Logging != nil {
		log = *s.Logging
	}
	if log.Driver == "" {
		log.Driver = "json-file"
		f.note("logging.driver")
	}
	if log.Driver == "json-file" || log.Driver == "local" {
		options := types.Options{"max-size": sizeText(f.limits.LogFile), "max-file": strconv.FormatInt(f.limits.LogFiles, 10)}
		for name := range options {
			if _, said := log.Options[name]; !said {
				f.note("logging.options." + name)
			}
		}
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

func (f *filler) tmpfs(s *types.ServiceConfig) {
	size := strconv.FormatInt(f.limits.Tmpfs, 10)
	s.Tmpfs = append(types.StringList(nil), s.Tmpfs...)
	for i, mount := range s.Tmpfs {
		path, options, found := strings.Cut(mount, ":")
		switch {
		case !found || options == "":
			s.Tmpfs[i] = path + ":size=" + size
			f.note(fmt.Sprintf("tmpfs[%d]", i))
		case !strings.Contains(","+options, ",size="):
			s.Tmpfs[i] = mount + ",size=" + size
			f.note(fmt.Sprintf("tmpfs[%d]", i))
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
			tmpfs.Size = types.UnitBytes(f.limits.Tmpfs)
			f.note(fmt.Sprintf("volumes[%d].tmpfs.size", i))
		}
		s.Volumes[i].Tmpfs = &tmpfs
	}
}

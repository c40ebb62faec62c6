package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Limits are ceilings on what an application takes of the machine. All but
// Containers are for each container; what is absent has the default.
type Limits struct {
	// Containers is how many there may be, replicas counted: by default 16.
	Containers int64 `yaml:"containers,omitempty"`
	// CPUs is processor time in processors: by default 1, which every machine has.
	CPUs float64 `yaml:"cpus,omitempty"`
	// Memory is bytes with an optional k, m or g: by default 1g. Twice as much
	// with swap. Shared memory and tmpfs count towards it.
	Memory string `yaml:"memory,omitempty"`
	// PIDs is processes and threads: by default 512.
	PIDs int64 `yaml:"pids,omitempty"`
	// Logs is what the engine keeps of the output, all its files together: by
	// default 100m.
	Logs string `yaml:"logs,omitempty"`
	// Tmpfs is the size of one tmpfs and of /dev/shm: by default 256m.
	Tmpfs string `yaml:"tmpfs,omitempty"`
	// Storage is what a container may write into its own file system. Without
	// it nothing is demanded, since few engines can hold a container to it
	// (overlay2 only on xfs with pquota); with it, containers on others do not
	// start.
	Storage string `yaml:"storage,omitempty"`
	// Volumes is what all claims of the application's charts together may ask for:
	// by default 10g. Volumes of Compose have no size.
	Volumes string `yaml:"volumes,omitempty"`
}

// What a container gets that asks for nothing, where the ceiling allows as much.
const (
	defaultLogFile  = 10 << 20
	defaultLogFiles = 3
	defaultTmpfs    = 64 << 20
)

// ceilings is Limits with the defaults, in bytes.
type ceilings struct {
	containers, memory, pids, logs, tmpfs int64
	volumes                               int64
	cpus                                  float64
	storage                               int64 // 0 demands nothing
}

func (l Limits) ceilings() ceilings {
	return ceilings{
		containers: orDefault(l.Containers, 16), cpus: orDefault(l.CPUs, 1), pids: orDefault(l.PIDs, 512),
		memory: orDefault(byteSize(l.Memory), 1<<30), logs: orDefault(byteSize(l.Logs), 100<<20),
		tmpfs: orDefault(byteSize(l.Tmpfs), 256<<20), storage: byteSize(l.Storage),
		volumes: orDefault(byteSize(l.Volumes), 10<<30),
	}
}

func orDefault[T int64 | float64](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Defaults are the limits that a render gives to a container that names none:
// a processor, the ceilings of memory and processes, three log files of 10 MiB
// and 64 MiB for each tmpfs, or less where a ceiling is lower.
func (l Limits) Defaults() task.Limits {
	c := l.ceilings()
	out := task.Limits{CPUs: min(1, c.cpus), Memory: c.memory, PIDs: c.pids, Tmpfs: min(defaultTmpfs, c.tmpfs), Storage: c.storage}
	out.LogFiles = defaultLogFiles
	out.LogFile = min(defaultLogFile, c.logs/defaultLogFiles)
	return out
}

// maxLimit keeps sums and products of limits within an int64.
const maxLimit = 1 << 50

var sizePattern = lazyregexp.New(`^([1-9][0-9]{0,14})([kmg]?)$`)

// byteSize reads a size such as 512m (of 1024 × 1024 bytes); 0 is none.
func byteSize(s string) int64 {
	found := sizePattern.FindStringSubmatch(s)
	if found == nil {
		return 0
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	unit := map[string]int64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[found[2]]
	if err != nil || n > maxLimit/unit {
		return 0
	}
	return n * unit
}

// sizeText is byteSize's inverse in the largest unit that is exact.
func sizeText(n int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "g"}, {1 << 20, "m"}, {1 << 10, "k"}} {
		if n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func (l Limits) validate() error {
	if l.Containers < 0 || l.Containers > maxServices*maxReplicas {
		return fmt.Errorf("containers: %d is not from 1 to %d", l.Containers, maxServices*maxReplicas)
	}
	if l.CPUs < 0 || l.CPUs > 1024 || math.IsNaN(l.CPUs) || l.CPUs != 0 && l.CPUs < 0.01 {
		return errors.New("cpus: not from 0.01 to 1024")
	}
	if l.PIDs < 0 || l.PIDs > 1<<22 {
		return fmt.Errorf("pids: %d is not from 1 to %d", l.PIDs, 1<<22)
	}
	for name, size := range map[string]string{"memory": l.Memory, "logs": l.Logs, "tmpfs": l.Tmpfs, "storage": l.Storage, "volumes": l.Volumes} {
		if size != "" && byteSize(size) == 0 {
			return fmt.Errorf("%s: %.40q is not a size such as 512m or 2g", name, size)
		}
	}
	if n := byteSize(l.Memory); n != 0 && n < minMemory {
		return fmt.Errorf("memory: %q is less than the engine's least, 6m", l.Memory)
	}
	if n := byteSize(l.Logs); n != 0 && n < 3<<10 {
		return fmt.Errorf("logs: %q is less than 3k", l.Logs)
	}
	return nil
}

// minMemory is what the Docker engine demands of a memory limit.
const minMemory = 6 << 20

// within records a ceiling that is passed.
func (w *walk) within(at place, limit string, value, ceiling int64, show func(int64) string) {
	if value <= ceiling {
		return
	}
	if value > maxLimit {
		w.ask(at, "never granted: more than any machine has", "")
		return
	}
	w.record(ask{
		at: at, rule: "at most " + show(ceiling) + ", the grant limits." + limit, got: show(value),
		need: need{grant: "limits." + limit, value: strconv.FormatInt(value, 10)},
	})
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

// bytesUpTo is a rule for sizes, which compose-go writes as decimal text; zero
// and less would mean no limit.
func bytesUpTo(limit string, ceiling func(ceilings) int64) rule {
	return rule{check: func(w *walk, at place, v any) {
		n, ok := wholeText(v)
		if !ok || n < 1 {
			w.ask(at, "must be a positive number of bytes", show(v))
			return
		}
		w.within(at, limit, n, ceiling(w.ceilings), sizeText)
	}}
}

var (
	memoryLimit = bytesUpTo("memory", func(c ceilings) int64 { return c.memory })
	tmpfsLimit  = bytesUpTo("tmpfs", func(c ceilings) int64 { return c.tmpfs })

	pidsLimit = rule{check: func(w *walk, at place, v any) {
		n, ok := whole(v)
		if !ok || n < 1 {
			w.ask(at, "must be a positive whole number", show(v))
			return
		}
		w.within(at, "pids", n, w.ceilings.pids, count)
	}}

	cpuLimit = rule{check: func(w *walk, at place, v any) {
		f, ok := decimal(v)
		if !ok {
			w.ask(at, "must be a positive number", show(v))
			return
		}
		w.withinCPUs(at, f, show(v))
	}}
)

func (w *walk) withinCPUs(at place, f float64, got string) {
	if f > 1024 {
		w.ask(at, "never granted: more than any machine has", got)
	} else if f > w.ceilings.cpus {
		w.record(ask{
			at: at, rule: fmt.Sprintf("at most %v, the grant limits.cpus", w.ceilings.cpus), got: got,
			need: need{grant: "limits.cpus", value: strconv.FormatFloat(f, 'g', -1, 64)},
		})
	}
}

// swapLimit is memory and swap together, by the engine's default twice the memory.
var swapLimit = rule{check: func(w *walk, at place, v any) {
	n, ok := wholeText(v)
	if !ok || n < 1 {
		w.ask(at, "must be a positive number of bytes", show(v))
		return
	}
	w.within(at, "memory", (n+1)/2, w.ceilings.memory, func(n int64) string { return sizeText(n) + " and as much swap" })
}}

// raise makes a proposal's ceiling at least the value.
func (l *Limits) raise(limit, value string) {
	if limit == "limits.cpus" {
		f, _ := strconv.ParseFloat(value, 64)
		l.CPUs = max(l.CPUs, f)
		return
	}
	n, _ := strconv.ParseInt(value, 10, 64)
	size := func(field *string) { *field = sizeText(max(byteSize(*field), n)) }
	switch limit {
	case "limits.containers":
		l.Containers = max(l.Containers, n)
	case "limits.pids":
		l.PIDs = max(l.PIDs, n)
	case "limits.memory":
		size(&l.Memory)
	case "limits.logs":
		size(&l.Logs)
	case "limits.tmpfs":
		size(&l.Tmpfs)
	case "limits.storage":
		size(&l.Storage)
	case "limits.volumes":
		size(&l.Volumes)
	}
}

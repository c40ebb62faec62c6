package kills

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// steps lists at which passages of a stopping point a command is killed: each
// names a fault, such as "*:17". Points of the applier are counted apart, since
// it is a process of its own.
func (s *scene) steps(c command) []string {
	s.Helper()
	var points, applier []string
	for _, p := range s.passages(c) {
		if strings.HasPrefix(p, "engine.") {
			applier = append(applier, p)
		} else {
			points = append(points, p)
		}
	}
	var out []string
	for _, n := range s.choose(points) {
		out = append(out, fmt.Sprintf("*:%d:kill", n+1))
	}
	for _, p := range slices.Compact(slices.Sorted(slices.Values(applier))) {
		out = append(out, p+":1:kill")
	}
	s.Logf("%d passages, %d of the applier; %d steps", len(points), len(applier), len(out))
	return out
}

// passages lists the points that a command passes, in order.
func (s *scene) passages(c command) []string {
	s.Helper()
	var out []string
	s.try(func(tr *trial) {
		file := tr.path("trace")
		if end := tr.run(c, "CONSIGN_FAULT_TRACE="+file); end.code != 0 {
			s.Fatalf("undisturbed: %d: %s", end.code, end.text)
		}
		data, err := os.ReadFile(file)
		s.w.Must(err)
		out = strings.Fields(string(data))
	})
	return out
}

// choose picks passages: all in a soak, else the first of each point, and one in
// forty of the others.
func (s *scene) choose(points []string) []int {
	random := s.random()
	seen := map[string]bool{}
	var out []int
	for n, p := range points {
		if soak || !seen[p] || random.IntN(40) == 0 {
			out = append(out, n)
		}
		seen[p] = true
	}
	return out
}

// random is a source whose seed is printed. It is given by CONSIGN_SEED, else
// another one for each soak, and always the same in a short run: that one tells
// whether a change broke something, and no more.
func (s *scene) random() *rand.Rand { return seeded(s.T) }

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if soak {
		seed = uint64(time.Now().UnixNano())
	}
	if text := os.Getenv("CONSIGN_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CONSIGN_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

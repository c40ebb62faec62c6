package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/plan"
)

// appliers are the programs that render, which are looked for beside this one and
// nowhere else, as the agent does.
type appliers struct{ compose, helm *apply.Program }

func findAppliers() (appliers, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return appliers{}, fmt.Errorf("find this program: %w", err)
	}
	var a appliers
	if a.compose, err = applierAt(filepath.Join(filepath.Dir(self), "applier-compose")); err != nil {
		return a, err
	}
	a.helm, err = applierAt(filepath.Join(filepath.Dir(self), "applier-helm"))
	return a, err
}

// applierAt is nil when there is none: most packages need one of the two.
func applierAt(path string) (*apply.Program, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return apply.NewProgram(path)
}

// registryName is the agent's usual address, which is part of the names of images.
const registryName = "127.0.0.1:5127"

func (a appliers) renderer(device string) plan.Renderer {
	return apply.Each{
		Compose: &apply.Compose{Program: a.compose, Registry: registryName, Device: device},
		Chart:   &apply.Chart{Program: a.helm, Registry: registryName, Device: device, Capabilities: apply.AnyCluster},
	}
}

// chartImages is [pack.Options.ChartImages]. The programs are looked for when there
// is a chart.
func chartImages(ctx context.Context, chart []byte, values map[string]json.RawMessage) ([]string, error) {
	a, err := findAppliers()
	if err != nil {
		return nil, err
	}
	c := apply.Chart{Program: a.helm, Capabilities: apply.AnyCluster}
	return c.Images(ctx, chart, values)
}

package charts_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/pack"
	"github.com/consign-dev/consign/internal/plan"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
	"github.com/consign-dev/consign/internal/world/charts"
	"github.com/consign-dev/consign/policy"
)

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

const version = "1.0.0"

// TestCharts packs and plans each chart with the applier that devices use, once
// under a policy that grants nothing and once under one with its grants.
func TestCharts(t *testing.T) {
	s := newScene(t)
	bare, granting := s.policies()
	for _, c := range charts.All {
		t.Run(c.Name, func(t *testing.T) {
			s.T = t
			in, err := s.pack(c)
			if c.Packed != "" {
				wantRefused(t, c, err, c.Packed)
				return
			}
			s.Must(err)
			without := s.plan(in, bare)
			s.checkVolatile(c, without)
			if c.Planned == "" {
				wantAccepted(t, without)
				return
			}
			wantRefused(t, c, without.Policy.Err, c.Planned)
			if never := len(without.Privileges.Never) > 0; never != (c.Grants == "") {
				t.Errorf("never granted: %q, and the table has the grants %q", without.Privileges.Never, c.Grants)
			}
			if !c.Accepted() {
				return
			}
			app, err := granting.Application(c.Name)
			s.Must(err)
			if grants, err := app.Grants.YAML(); err != nil || grants != without.Privileges.Grants {
				t.Errorf("proposed is\n%s\nwanted\n%s(%v)", without.Privileges.Grants, grants, err)
			}
			wantAccepted(t, s.plan(in, granting))
		})
	}
}

// scene is one package directory, whose chart is replaced, and one layout.
type scene struct {
	*world.World
	chart  *apply.Chart
	dir    string
	layout *oci.Layout
}

func newScene(t *testing.T) *scene {
	w := world.New(t)
	program, err := apply.NewProgram(filepath.Join(world.Programs(t), "applier-helm"))
	w.Must(err)
	layout, err := oci.CreateLayout(filepath.Join(w.Dir, "layout"))
	w.Must(err)
	return &scene{
		World: w, dir: w.Package(version, nil), layout: layout,
		chart: &apply.Chart{Program: program, Registry: "127.0.0.1:5127", Device: "any", Capabilities: apply.AnyCluster},
	}
}

// policies are one that grants nothing to the charts, and one that grants what the
// table says.
func (s *scene) policies() (bare, granting *policy.TrustPolicy) {
	s.T.Helper()
	s.Applications, s.Rules = nil, map[string]string{}
	for _, c := range charts.All {
		s.Applications = append(s.Applications, c.Name)
	}
	bare = s.trust()
	for _, c := range charts.All {
		s.Rules[c.Name] = c.Rules()
	}
	return bare, s.trust()
}

func (s *scene) trust() *policy.TrustPolicy {
	s.T.Helper()
	s.SetPolicy("")
	text, err := os.ReadFile(filepath.Join(s.Dir, "policy.yaml"))
	s.Must(err)
	p, err := policy.Parse(text)
	s.Must(err)
	return p
}

func (s *scene) pack(c charts.Chart) (plan.PackageInput, error) {
	s.T.Helper()
	c.Put(s.World, version)(s.dir)
	r, err := pack.Pack(s.Context(), pack.Options{Dir: s.dir, Out: s.layout, Client: s.Client(), ChartImages: s.chart.Images, Rehearse: true})
	return plan.PackageInput{Packed: r, Source: plan.Layout{Layout: s.layout}}, err
}

func (s *scene) plan(in plan.PackageInput, under *policy.TrustPolicy) *plan.Package {
	s.T.Helper()
	in.Policy = under
	p, err := plan.OfPackage(s.Context(), in, s.chart)
	s.Must(err)
	return p
}

// checkVolatile compares what a plan says is made anew with the table.
func (s *scene) checkVolatile(c charts.Chart, p *plan.Package) {
	s.T.Helper()
	var got []string
	for _, v := range p.Profiles[0].Volatile {
		got = append(got, unnamed(c, v.Object+v.Field))
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(c.Volatile)); !slices.Equal(got, want) {
		s.T.Errorf("made anew %q, want %q", got, want)
	}
}

// unnamed writes RELEASE for the name of a deployment's release.
func unnamed(c charts.Chart, text string) string {
	return regexp.MustCompile(`\bc[0-9a-f]{10}-`+c.Name+`\b`).ReplaceAllString(text, "RELEASE")
}

func wantRefused(t *testing.T, c charts.Chart, err error, code reason.Code) {
	t.Helper()
	if !reason.Is(err, code) {
		t.Fatalf("error %v, want reason %s", err, code)
	}
	said := unnamed(c, err.Error())
	for _, words := range c.Says {
		if !strings.Contains(said, words) {
			t.Errorf("refused with\n%s\nwant %q", said, words)
		}
	}
	if len(c.Says) == 0 {
		t.Error("the table does not say what the refusal names")
	}
}

func wantAccepted(t *testing.T, p *plan.Package) {
	t.Helper()
	if p.Policy.Err != nil || len(p.Privileges.Never) > 0 || p.Privileges.Grants != "" {
		t.Errorf("refused: %v, privileges %+v", p.Policy.Err, p.Privileges)
	}
}

// TestChartsAreListed: every chart on the disk has its row in the table and in the
// one of its README, with the outcome.
func TestChartsAreListed(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(charts.Dir(), "README.md"))
	entries, dirErr := os.ReadDir(charts.Dir())
	if err := errors.Join(err, dirErr); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		at := slices.IndexFunc(charts.All, func(c charts.Chart) bool { return c.Name == e.Name() })
		switch {
		case !e.IsDir():
		case at < 0:
			t.Errorf("%s is in no row of charts.All", e.Name())
		case !strings.Contains(string(readme), "\n| `"+e.Name()+"` | "+outcome(charts.All[at])+" | "):
			t.Errorf("README.md has no row of %s with the outcome %s", e.Name(), outcome(charts.All[at]))
		}
	}
}

func outcome(c charts.Chart) string {
	switch {
	case c.Packed != "":
		return "`" + string(c.Packed) + "`, not packed"
	case c.Planned == "":
		return "installs"
	case c.Accepted():
		return "installs with grants"
	default:
		return "`" + string(c.Planned) + "`"
	}
}

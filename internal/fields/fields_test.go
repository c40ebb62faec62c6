package fields_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/fields"
)

type inner struct {
	Deep string `json:"deep" yaml:"deep"`
}

type outer struct {
	inner    `yaml:",inline"`
	Name     string `json:"name" yaml:"name"`
	Plain    int
	Hidden   string         `json:"-" yaml:"-"`
	Leftover map[string]any `json:"leftover" yaml:",inline"`
}

func TestNamesFollowEachFormatsRules(t *testing.T) {
	j := fields.Of(reflect.TypeFor[outer](), fields.JSON)
	if got, want := j.Names(), []string{"Plain", "deep", "leftover", "name"}; !slices.Equal(got, want) {
		t.Errorf("json names %q, want %q", got, want)
	}
	y := fields.Of(reflect.TypeFor[outer](), fields.YAML)
	if got, want := y.Names(), []string{"deep", "name", "plain"}; !slices.Equal(got, want) {
		t.Errorf("yaml names %q, want %q", got, want)
	}
	if y.Rest == nil || j.Rest != nil {
		t.Errorf("rest: yaml %v, json %v", y.Rest, j.Rest)
	}
	if _, ok := j.Lookup("NAME"); ok {
		t.Error("a name in another case was found")
	}
	for name, want := range map[string]bool{"NAME": true, "name": false, "nam": false, "plain": true, "Hidden": false} {
		if j.Imitated(name) != want {
			t.Errorf("Imitated(%q) is %t", name, !want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"deploymentProfiles", "metadata", "parameters", "id"}
	for name, want := range map[string]string{
		"paramaters":              "parameters",
		"Metadata":                "metadata",
		"deploymentProfile":       "deploymentProfiles",
		"zzz":                     "",
		"di":                      "id",
		strings.Repeat("m", 1000): "",
	} {
		if got := fields.Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is what a program knows about its own making.
type Version struct {
	Program string `json:"program"`
	// Version is the module version: a tag, a pseudo-version, or "(devel)".
	Version string `json:"version"`
	// Commit is the git commit, empty when the build had no repository.
	Commit string `json:"commit,omitempty"`
	// Modified says that the working tree had changes which are not in Commit.
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadVersion reads the build information of the running binary.
func ReadVersion(program string) Version {
	v := Version{
		Program: program, Version: "(devel)",
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// String is the line that "version" prints.
func (v Version) String() string {
	s := fmt.Sprintf("%s %s (%s, %s", v.Program, v.Version, v.Go, v.Platform)
	if v.Commit != "" {
		s += ", commit " + v.Commit
	}
	if v.Modified {
		s += " with local changes"
	}
	return s + ")"
}

func versionCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  " + name + " version --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := ReadVersion(name)
			return Out(cmd).Print(v, func(w io.Writer) { fmt.Fprintln(w, v) })
		},
	}
}

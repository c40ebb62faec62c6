package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// UsageError says that the command line itself is wrong: exit code 2.
type UsageError struct {
	// Command is the path of the command whose --help explains it; empty when
	// the error was made by the command's own code.
	Command string
	Err     error
}

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usage makes a [UsageError]; %w works as in fmt.Errorf.
func Usage(format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...)}
}

// asUsage makes err a usage error of cmd.
func asUsage(cmd *cobra.Command, err error) error {
	var u *UsageError
	if errors.As(err, &u) {
		return &UsageError{Command: cmd.CommandPath(), Err: u.Err}
	}
	return &UsageError{Command: cmd.CommandPath(), Err: err}
}

// flagError adds to cobra's message about an unknown flag the flag that was
// probably meant.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	// cobra measures likeness between command names; lend it the flags' names.
	names := &cobra.Command{}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	return fmt.Errorf("%w%s", err, didYouMean(names, unknown.GetSpecifiedName(), "--"))
}

// didYouMean names the commands of c that are like typed, or nothing.
func didYouMean(c *cobra.Command, typed, prefix string) string {
	c.SuggestionsMinimumDistance = 2
	near := c.SuggestionsFor(typed)
	for i, name := range near {
		near[i] = fmt.Sprintf("%q", prefix+name)
	}
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

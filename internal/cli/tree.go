package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// prepare makes every command of the tree strict. The returned flag becomes
// true when a command's own code returned the error; any other error is cobra's
// and means that the command line was wrong.
func prepare(root *cobra.Command) *bool {
	own := new(bool)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.InitDefaultCompletionCmd()
	root.SetFlagErrorFunc(flagError)
	// A group becomes runnable below, only to refuse what it does not know; its
	// help shall not offer to run it.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(),
		"{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1))
	walk(root, func(c *cobra.Command) { tighten(c, own) })
	return own
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

func tighten(c *cobra.Command, own *bool) {
	c.DisableFlagsInUseLine = true
	switch {
	case c.HasSubCommands() && !c.Runnable():
		c.Args = cobra.ArbitraryArgs
		c.RunE = refuseUnknown
		return
	case c.Args == nil:
		c.Args = cobra.NoArgs
	}
	for _, hook := range []*func(*cobra.Command, []string) error{
		&c.PersistentPreRunE, &c.PreRunE, &c.RunE, &c.PostRunE, &c.PersistentPostRunE,
	} {
		*hook = noteOwn(*hook, own)
	}
}

func noteOwn(run func(*cobra.Command, []string) error, own *bool) func(*cobra.Command, []string) error {
	if run == nil {
		return nil
	}
	return func(c *cobra.Command, args []string) error {
		err := run(c, args)
		*own = *own || err != nil
		return err
	}
}

// refuseUnknown is what a group of commands does when none of them was named.
func refuseUnknown(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return Usage("%s needs a command", c.CommandPath())
	}
	return Usage("unknown command %q for %q%s", args[0], c.CommandPath(), didYouMean(c, args[0], ""))
}

// Undocumented lists the paths of commands that lack a short description or,
// where they can be run, an example. Each program's test wants it empty.
func Undocumented(root *cobra.Command) []string {
	var missing []string
	walk(root, func(c *cobra.Command) {
		if c.Short == "" || (c.Runnable() && !c.HasSubCommands() && c.Example == "") {
			missing = append(missing, c.CommandPath())
		}
	})
	return missing
}

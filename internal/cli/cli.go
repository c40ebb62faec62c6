// Package cli holds the terminal manners that publisher, agent and auditor
// share, so that a main.go only names its commands:
//
//	func main() {
//		root := cli.Root("auditor", "check device logs offline")
//		root.AddCommand(verifyCommand(), eventsCommand())
//		os.Exit(cli.Main(root))
//	}
//
// What every program does the same way:
//
//   - Results go to stdout, everything else (errors, progress, prompts) to
//     stderr. With --output json a result is one JSON object on one line, and
//     so is the error on stderr.
//   - An error says what happened and, on a second line, what to do next.
//   - The exit code tells a script what kind of end it was; see [ExitCode].
//   - Text that came from elsewhere cannot move the cursor, change colours or
//     reorder the line it is printed on; see [Safe].
//   - The first SIGINT or SIGTERM cancels the command's context, the second
//     ends the process.
//
// The trap is cobra's leniency: by itself it accepts stray arguments, answers
// an unknown subcommand of a group with help and exit 0, and mixes usage
// errors with the command's own. [Execute] closes all three for the whole
// tree, so a command need not.
package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

const exitHelp = `
Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  refused: something was not signed, not allowed or not well formed
  4  the registry or engine is unreachable, or what it serves is stale
  5  the application could not be applied and was rolled back
  6  conflict with another writer: run the command again
  7  tampering found`

// Root makes the root command of the program name, with --output, the version
// command and cobra's completion command. Commands are added to it by main.
func Root(name, short string) *cobra.Command {
	root := &cobra.Command{
		Use:   name,
		Short: short,
		Long:  name + ": " + short + "\n" + exitHelp,
	}
	root.PersistentFlags().Var(new(format), outputFlag, "how results are printed: text or json")
	root.AddCommand(versionCommand(name))
	return root
}

// Main runs the command line of this process and returns its exit code. It
// owns the signals: a cancelled context means that a person or a service
// manager wants the command to end.
func Main(root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Whoever asks a second time does not want to wait for a clean end.
	context.AfterFunc(ctx, stop)
	return Execute(ctx, root, os.Args[1:])
}

// Execute runs args under root and returns the exit code. Errors are printed
// to root's error stream.
func Execute(ctx context.Context, root *cobra.Command, args []string) int {
	own := prepare(root)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	if !*own {
		err = asUsage(cmd, err)
	}
	report(root, err, wantsJSON(root, args))
	return ExitCode(err)
}

package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/cli/clitest"
	"github.com/consign-dev/consign/internal/reason"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"toy": toy})
}

// TestScripts runs a small program made as the real ones are, and looks at
// what a person and a script see of it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: clitest.Commands(nil),
	})
}

// toy has one command for each way to end.
func toy() { os.Exit(cli.Main(toyRoot())) }

func toyRoot() *cobra.Command {
	root := cli.Root("toy", "show terminal manners")
	group := &cobra.Command{Use: "key", Short: "Keys"}
	group.AddCommand(&cobra.Command{
		Use: "show NAME", Short: "Show a key", Example: "  toy key show root", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Out(cmd).Print(map[string]string{"name": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "key", args[0]) })
		},
	})
	root.AddCommand(group, refuseCommand(), askCommand(), waitCommand())
	return root
}

func refuseCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "refuse CODE", Short: "Refuse", Example: "  toy refuse freeze", Args: cobra.ExactArgs(1)}
	message := cmd.Flags().String("message", "the message", "why")
	exit := cmd.Flags().Int("exit", 0, "exit code")
	silent := cmd.Flags().Bool("silent", false, "say nothing")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		words, err := strconv.Unquote(`"` + *message + `"`)
		if err != nil {
			return err
		}
		err = errors.New(words)
		if args[0] != "none" {
			err = fmt.Errorf("look at channel: %w", reason.New(reason.Code(args[0]), "%s", words))
		}
		if *silent {
			err = nil
		}
		if *exit != 0 {
			err = &cli.ExitError{Code: *exit, Err: err}
		}
		return err
	}
	return cmd
}

func askCommand() *cobra.Command {
	pass := cli.Passphrase{Prompt: "passphrase of keys in ./keys"}
	cmd := &cobra.Command{Use: "ask", Short: "Ask", Example: "  toy ask"}
	pass.AddFlag(cmd)
	cmd.Flags().BoolVar(&pass.Confirm, "confirm", false, "ask twice")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		got, err := pass.Read(cmd.Context())
		if err != nil {
			return err
		}
		return cli.Out(cmd).Print(string(got), func(w io.Writer) { fmt.Fprintf(w, "got %q\n", got) })
	}
	return cmd
}

func waitCommand() *cobra.Command {
	return &cobra.Command{
		Use: "wait", Short: "Wait for a signal", Example: "  toy wait",
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.ErrOrStderr(), "waiting")
			<-cmd.Context().Done()
			return fmt.Errorf("wait: %w", context.Cause(cmd.Context()))
		},
	}
}

func TestEveryToyCommandIsDocumented(t *testing.T) {
	if missing := cli.Undocumented(toyRoot()); len(missing) > 0 {
		t.Errorf("without description or example: %q", missing)
	}
	bare := &cobra.Command{Use: "bare", Run: func(*cobra.Command, []string) {}}
	if got := cli.Undocumented(bare); len(got) != 1 || got[0] != "bare" {
		t.Errorf("Undocumented = %q, want [bare]", got)
	}
}

func TestProgressIsSilentWithoutTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := cli.NewProgress(f, "push", 100)
	p.Set(50, 100)
	p.Close()
	if info, _ := f.Stat(); info.Size() != 0 {
		t.Errorf("wrote %d bytes to a file", info.Size())
	}
}

// Command tuf-client speaks the client protocol of the public conformance
// suite for TUF clients (theupdateframework/tuf-conformance) with the code by
// which a Consign agent reads its channels:
//
//	tuf-client --metadata-dir D init ROOT_FILE
//	tuf-client --metadata-dir D --metadata-url U refresh
//	tuf-client --metadata-dir D --metadata-url U --target-name T [--target-name T2 ...]
//	           --target-base-url B --target-dir X download
//
// It exits with 0 when it is done and with 1 when it is not. Flags stand before
// the command, in any order. Targets are taken in the order given, up to the
// first that fails.
//
// Everything that judges metadata is internal/tufclient, unchanged; this
// program only brings another [tufclient.Fetcher], over HTTP, beside the one
// of internal/channel, over OCI. In D lie the files that the suite looks at,
// ROLE.json, and the directories of a tufclient. A target is stored under X by
// the SHA-256 of its name, so that a name is never a path.
//
// The time is that of the command date, because the tool with which the suite
// moves the clock (faketime) reaches programs that use the C library and not
// this one.
//
// In one case the product is louder than the protocol can say. A timestamp of
// the version seen before with other content is discarded by the specification
// without a word (TUF 1.0.34 section 5.4.3.1). Consign discards it as well,
// keeps both documents as evidence and ends the refresh with an alarm. The
// suite wants 0 for that, so this program prints the alarm and goes on with the
// metadata it has, which tufclient verifies anew, its expiry too, and which must
// be the whole set of that timestamp. In every other role an equivocation is a
// failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/consign-dev/consign/internal/cli"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stderr)) }

func run(ctx context.Context, args []string, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = o.do(ctx, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "tuf-client:", cli.Safe(err.Error()))
		return 1
	}
	return 0
}

// options are the command line.
type options struct {
	metadataDir, metadataURL string
	targets                  []string
	targetURL, targetDir     string
	command                  string
	args                     []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("tuf-client", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&o.metadataDir, "metadata-dir", "", "`directory` of the trusted metadata")
	set.StringVar(&o.metadataURL, "metadata-url", "", "`URL` below which the repository has its metadata")
	set.Func("target-name", "`name` of a target; may be given several times", func(name string) error {
		o.targets = append(o.targets, name)
		return nil
	})
	set.StringVar(&o.targetURL, "target-base-url", "", "`URL` below which the repository has its targets")
	set.StringVar(&o.targetDir, "target-dir", "", "`directory` for targets")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() == 0 {
		return o, errors.New("want a command: init, refresh or download; for example: tuf-client --metadata-dir md init 1.root.json")
	}
	o.command, o.args = set.Arg(0), set.Args()[1:]
	return o, o.check()
}

// check demands what the command needs, and nothing that it would ignore
// silently.
func (o options) check() error {
	need := map[string]string{"--metadata-dir": o.metadataDir}
	operands := 0
	switch o.command {
	case "init":
		operands = 1
	case "refresh":
		need["--metadata-url"] = o.metadataURL
	case "download":
		need["--metadata-url"], need["--target-base-url"], need["--target-dir"] = o.metadataURL, o.targetURL, o.targetDir
		if len(o.targets) == 0 {
			return errors.New("download: want at least one --target-name")
		}
	default:
		return fmt.Errorf("unknown command %q: want init, refresh or download", o.command)
	}
	for name, value := range need {
		if value == "" {
			return fmt.Errorf("%s: %s is missing", o.command, name)
		}
	}
	if len(o.args) != operands {
		return fmt.Errorf("%s: %d arguments follow the command, want %d", o.command, len(o.args), operands)
	}
	return nil
}

package main

import (
	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/auditor"
	"github.com/consign-dev/consign/internal/cli"
)

// addRequest adds the flags that say what the log is held against.
func addRequest(cmd *cobra.Command, r *auditor.Request) {
	cmd.Flags().StringVar(&r.Key, "key", "", "`VKEY` of the device's log, as recorded when it was enrolled, or a file that holds it")
	cmd.Flags().StringVar(&r.Since, "since", "", "`FILE` with an earlier checkpoint of this log, kept elsewhere")
}

// complete takes the log from the arguments and insists on a key: there is no
// default for whom to believe.
func complete(r *auditor.Request, args []string) error {
	r.Log = args[0]
	if r.Key == "" {
		return cli.Usage("--key is missing: the verifier key that the operator recorded for this device; none is ever taken from the log itself")
	}
	return nil
}

// exit gives a finding the exit code of tampering.
func exit(err error) error {
	if audit.IsTampering(err) {
		return &cli.ExitError{Code: cli.ExitTampering, Err: err}
	}
	return err
}

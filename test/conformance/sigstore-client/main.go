// Command sigstore-client speaks the client protocol of the public conformance
// suite for Sigstore clients (sigstore/sigstore-conformance) with the code by
// which Consign signs without a key and by which devices judge what was signed:
//
//	sigstore-client verify-bundle [--staging] --bundle FILE
//	                (--certificate-identity SUBJECT --certificate-oidc-issuer URL | --key FILE)
//	                [--trusted-root FILE] FILE_OR_DIGEST
//	sigstore-client sign-bundle [--staging] [--in-toto] --identity-token TOKEN --bundle FILE
//	                [--trusted-root FILE] [--signing-config FILE] FILE
//
// It exits with 0 when it is done and with 1 when it is not.
//
// # Verifying
//
// A bundle made with a certificate goes to [verify.TrustedRoot.Certified], as the
// evidence of a release does, and one made by a key to
// [verify.TrustedRoot.Keyed], which is as strict about its log entry. Of a
// release only signed in-toto statements count; the suite also has signatures on
// the bytes of a file and the older forms of a bundle, and those are verified here
// by the same code and the same demands.
//
// # Signing
//
// [sign.Keyless] signs in-toto statements. For a file it is the statement by which
// a release is signed, with the file's name and digest; with --in-toto it is the
// file itself. What was signed is verified before it is written.
//
// # The public instances
//
// Nothing of Consign has an address or a key of Sigstore's public instance built
// in, and nor has this. What the suite leaves out of the command line is taken
// from the directory that SIGSTORE_INSTANCES names, which has trusted_root.json
// and signing_config.json in public/ and, for --staging, in staging/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/consign-dev/consign/internal/cli"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv(instancesVariable), os.Stderr))
}

func run(ctx context.Context, args []string, instances string, stderr io.Writer) int {
	o, err := parse(args, stderr)
	o.instances = instances
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = o.do(ctx)
	}
	if err != nil {
		fmt.Fprintln(stderr, "sigstore-client:", cli.Safe(err.Error()))
		return 1
	}
	return 0
}

// options are the command line.
type options struct {
	command                    string
	staging, inToto            bool
	bundle, identity, issuer   string
	key, token                 string
	trustedRoot, signingConfig string
	artifact                   string
	// instances is the directory of the public instances, or "".
	instances string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("sigstore-client", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.BoolVar(&o.staging, "staging", false, "the staging instance in place of the public one")
	set.StringVar(&o.bundle, "bundle", "", "`file` of the bundle")
	set.StringVar(&o.trustedRoot, "trusted-root", "", "`file` of the instance's trusted root")
	if len(args) == 0 {
		return o, errors.New("want a command: verify-bundle or sign-bundle")
	}
	switch o.command = args[0]; o.command {
	case "verify-bundle":
		set.StringVar(&o.identity, "certificate-identity", "", "`subject` that the certificate must name")
		set.StringVar(&o.issuer, "certificate-oidc-issuer", "", "`URL` of the issuer that the certificate must name")
		set.StringVar(&o.key, "key", "", "`file` of the public key that must have signed")
	case "sign-bundle":
		set.BoolVar(&o.inToto, "in-toto", false, "the file is an in-toto statement")
		set.StringVar(&o.token, "identity-token", "", "OpenID Connect `token` to sign by")
		set.StringVar(&o.signingConfig, "signing-config", "", "`file` with the instance's services")
	default:
		return o, fmt.Errorf("unknown command %q: want verify-bundle or sign-bundle", o.command)
	}
	if err := set.Parse(args[1:]); err != nil {
		return o, err
	}
	if set.NArg() != 1 {
		return o, fmt.Errorf("%s: %d arguments follow the flags, want one file", o.command, set.NArg())
	}
	o.artifact = set.Arg(0)
	return o, o.check()
}

// check demands what the command needs, and nothing that it would ignore silently.
func (o options) check() error {
	switch byKey, byIdentity := o.key != "", o.identity != "" && o.issuer != ""; {
	case o.bundle == "":
		return fmt.Errorf("%s: --bundle is missing", o.command)
	case o.command == "sign-bundle" && o.token == "":
		return errors.New("sign-bundle: --identity-token is missing")
	case o.command == "verify-bundle" && byKey && (o.identity != "" || o.issuer != ""):
		return errors.New("verify-bundle: either a key or an identity, not both")
	case o.command == "verify-bundle" && !byKey && !byIdentity:
		return errors.New("verify-bundle: want --key, or --certificate-identity and --certificate-oidc-issuer")
	}
	return nil
}

func (o options) do(ctx context.Context) error {
	if o.command == "sign-bundle" {
		return o.sign(ctx)
	}
	return o.verify()
}

// instancesVariable names the directory of the public instances' files.
const instancesVariable = "SIGSTORE_INSTANCES"

// instance is a file of an instance: the one that was given, or else that of the
// public or the staging one.
func (o options) instance(given, flag, name string) (string, error) {
	if given != "" {
		return given, nil
	}
	if o.instances == "" {
		return "", fmt.Errorf("no %s: give it, or name the directory of the public instances with %s", flag, instancesVariable)
	}
	if o.staging {
		return filepath.Join(o.instances, "staging", name), nil
	}
	return filepath.Join(o.instances, "public", name), nil
}

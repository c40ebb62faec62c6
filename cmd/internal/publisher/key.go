package publisher

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/kms"
	"github.com/consign-dev/consign/internal/pkcs11"
)

// keyInfo is what "key" commands print.
type keyInfo struct {
	ID     string `json:"id"`
	File   string `json:"file"`
	Public string `json:"publicKey"`
}

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "make and show signing keys", Example: "  publisher key generate acme-signing.pem"}
	cmd.AddCommand(keyGenerateCommand(), keyShowCommand())
	return cmd
}

func keyGenerateCommand() *cobra.Command {
	pass := cli.Passphrase{Prompt: "new passphrase", Confirm: true}
	cmd := &cobra.Command{
		Use:     "generate FILE",
		Short:   "make an ECDSA P-256 key: FILE (encrypted PKCS#8) and FILE.pub",
		Example: "  publisher key generate acme-signing.pem --passphrase-file pass.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			phrase, err := pass.Read(cmd.Context())
			if err != nil {
				return err
			}
			signer, err := keys.Generate()
			if err != nil {
				return err
			}
			if err := keys.Save(args[0], signer, phrase, keys.Standard); err != nil {
				return err
			}
			return showKey(cmd, args[0]+".pub")
		},
	}
	pass.AddFlag(cmd)
	return cmd
}

func keyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE.pub | show URI",
		Short:   "print the id of a public key, and the key as a policy names it",
		Example: "  publisher key show acme-signing.pem.pub",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return showKey(cmd, args[0]) },
	}
}

// publicKey reads a file, or asks a token or a KMS for the public half of a key.
func publicKey(ctx context.Context, name string) (crypto.PublicKey, error) {
	var signer crypto.Signer
	var err error
	switch {
	case pkcs11.IsURI(name):
		signer, err = pkcs11.Open(name)
	case kms.IsURI(name):
		signer, err = kms.Open(ctx, name)
	default:
		return keys.LoadPublic(name)
	}
	if err != nil {
		return nil, err
	}
	return signer.Public(), nil
}

// publicHalf is publicKey of what names the whole key: of a file, that is the one
// beside it.
func publicHalf(ctx context.Context, name string) (crypto.PublicKey, error) {
	if !pkcs11.IsURI(name) && !kms.IsURI(name) {
		name = strings.TrimSuffix(name, keys.PublicSuffix) + keys.PublicSuffix
	}
	return publicKey(ctx, name)
}

func showKey(cmd *cobra.Command, file string) error {
	pub, err := publicKey(cmd.Context(), file)
	if err != nil {
		if _, statErr := os.Stat(file + keys.PublicSuffix); statErr == nil {
			err = fmt.Errorf("%w; its public key is in %s%s", err, file, keys.PublicSuffix)
		}
		return err
	}
	id, err := keys.ID(pub)
	if err != nil {
		return err
	}
	text, err := keys.MarshalPublic(pub)
	if err != nil {
		return err
	}
	info := keyInfo{ID: id, File: file, Public: string(text)}
	return cli.Out(cmd).Print(info, func(w io.Writer) {
		fmt.Fprintf(w, "key %s\n", info.ID)
		fmt.Fprintf(w, "in a policy:\n  keys:\n    - |\n")
		for _, line := range strings.Split(strings.TrimSpace(info.Public), "\n") {
			fmt.Fprintf(w, "      %s\n", line)
		}
	})
}

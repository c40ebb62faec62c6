package publisher

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/oci"
)

// graceful is how long requests under way may take to end after a signal.
const graceful = 20 * time.Second

func registryCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "registry", Short: "run the embedded OCI registry", Example: "  publisher registry serve --dir ./registry"}
	var dir, listen, loopback, cert, key string
	serve := &cobra.Command{
		Use:   "serve --dir DIRECTORY",
		Short: "serve an OCI 1.1 registry from a directory, until interrupted",
		Long: `Serve is for a quick start, small sites and tests. It has no users: who can
connect can write, and readers trust nothing it says. Without a certificate it
listens on a loopback address only. Programs of Consign speak plain HTTP to
loopback addresses: reach a registry with a certificate by the host name that is
in it, with --ca-file if its authority is your own, or from its own machine at
the address of --loopback.

Once an hour it removes blobs older than a day that no manifest refers to;
manifests stay. Stopped with SIGTERM or ctrl-c it takes no more requests and
lets those under way end for up to 20 seconds.`,
		Example: `  publisher registry serve --dir ./registry
  publisher registry serve --dir /srv/registry --listen :5000 --tls-cert cert.pem --tls-key key.pem --loopback 127.0.0.1:5001`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return serveRegistry(cmd, dir, listen, loopback, cert, key, log)
		},
	}
	serve.Flags().StringVar(&dir, "dir", "", "`DIRECTORY` to keep the content in")
	_ = serve.MarkFlagRequired("dir")
	serve.Flags().StringVar(&listen, "listen", "127.0.0.1:5000", "`ADDRESS` to listen on")
	serve.Flags().StringVar(&loopback, "loopback", "", "further `ADDRESS` to listen on, for plain HTTP from this machine")
	serve.Flags().StringVar(&cert, "tls-cert", "", "PEM `FILE` with the certificate chain")
	serve.Flags().StringVar(&key, "tls-key", "", "PEM `FILE` with the certificate's key")
	serve.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	cmd.AddCommand(serve)
	return cmd
}

func serveRegistry(cmd *cobra.Command, dir, listen, loopback, cert, key string, log *slog.Logger) error {
	secure, err := loadCertificate(cert, key)
	if err != nil {
		return err
	}
	l, err := listenOn("--listen", listen, secure != nil)
	if err != nil {
		return err
	}
	defer l.Close()
	var plain net.Listener
	if loopback != "" {
		if plain, err = listenOn("--loopback", loopback, false); err != nil {
			return err
		}
		defer plain.Close()
	}
	reg, err := oci.NewRegistry(oci.RegistryOptions{Dir: dir, Log: log})
	if err != nil {
		return err
	}
	if err := sayAddresses(cmd, l, plain); err != nil {
		return errors.Join(err, reg.Close(cmd.Context()))
	}
	serving, stop := context.WithCancel(cmd.Context())
	defer stop()
	var local sync.WaitGroup
	if plain != nil {
		// A server of its own: of one with TLS the first listener decides whether it speaks
		// HTTP/2, and it would promise that to the clients of the other in any case.
		local.Go(func() {
			if err := serveOn(serving, plain, oci.NewServer(reg, log)); err != nil {
				log.Error("the registry no longer listens", "address", loopback, "err", err)
			}
		})
	}
	srv := oci.NewServer(reg, log)
	srv.TLSConfig = secure
	err = serveOn(serving, l, srv)
	stop() // the one that failed takes the other with it
	local.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), graceful)
	defer cancel()
	return errors.Join(err, reg.Close(ctx))
}

// serveOn serves until the context ends and the requests under way have had their
// time.
func serveOn(ctx context.Context, l net.Listener, srv *http.Server) error {
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.Background(), graceful)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close() // what has not ended by now is cut off
		}
	})
	var err error
	if srv.TLSConfig != nil {
		err = srv.ServeTLS(l, "", "")
	} else {
		err = srv.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped // the last answers are on their way until then
		err = nil
	}
	return err
}

// sayAddresses prints where the registry is; plain may be nil.
func sayAddresses(cmd *cobra.Command, l, plain net.Listener) error {
	said := map[string]string{"address": l.Addr().String()}
	if plain != nil {
		said["loopback"] = plain.Addr().String()
	}
	return cli.Out(cmd).Print(said, func(w io.Writer) {
		fmt.Fprintf(w, "serving on %s\n", said["address"])
		if plain != nil {
			fmt.Fprintf(w, "and for this machine on %s\n", said["loopback"])
		}
	})
}

// loadCertificate returns nil when none is named. It is called before the
// registry says that it serves.
func loadCertificate(cert, key string) (*tls.Config, error) {
	if cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read --tls-cert and --tls-key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func listenOn(flag, address string, secure bool) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w; name another address with %s", err, flag)
	}
	if !secure && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = l.Close()
		return nil, cli.Usage("%s %s reaches other machines: give --tls-cert and --tls-key with --listen, or listen on 127.0.0.1", flag, address)
	}
	return l, nil
}

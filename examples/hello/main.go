// Hello is a small web service, the application of the demo: something real to
// package, deploy, configure and upgrade.
//
//	GET /         greets: the text of GREETING, or of the file that GREETING_FILE
//	              names, and the program's VERSION
//	GET /healthz  answers 200 while the service works
//	GET /starts   lists the versions that were started on this data, oldest first
//
// The last exists where STARTS names a file, in a volume say, that the program
// keeps that list in.
//
// "hello health" asks /healthz and exits 0 or 1: a container made from nothing
// but this program has no shell or curl for a health check, so the program
// checks itself. "hello version" says which version it is and ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const address = ":8080"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(os.Args) == 1:
		err = serve(ctx, address)
	case len(os.Args) == 2 && os.Args[1] == "health":
		err = health(ctx, "http://127.0.0.1"+address)
	case len(os.Args) == 2 && os.Args[1] == "version":
		fmt.Println("hello", os.Getenv("VERSION"))
	default:
		err = errors.New("usage: hello [health | version]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// handler greets with what it was configured to say. starts may be empty.
func handler(greeting, version, starts string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s (hello %s)\n", greeting, version)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	if starts != "" {
		mux.HandleFunc("GET /starts", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, starts) })
	}
	return mux
}

// greeting is read from a file where the words are secret.
func greeting() (string, error) {
	file := os.Getenv("GREETING_FILE")
	if file == "" {
		return os.Getenv("GREETING"), nil
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// noteStart adds a version to the list in a file.
func noteStart(file, version string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, version)
	return errors.Join(err, f.Close())
}

// serve answers until the context ends, then finishes the requests in progress.
func serve(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	text, err := greeting()
	if err != nil {
		return err
	}
	version, starts := os.Getenv("VERSION"), os.Getenv("STARTS")
	if starts != "" {
		if err := noteStart(starts, version); err != nil {
			return err
		}
	}
	server := &http.Server{
		Handler:           handler(text, version, starts),
		ReadHeaderTimeout: 5 * time.Second,
	}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(grace)
	})
	slog.Info("listening", "address", listener.Addr().String(), "version", os.Getenv("VERSION"))
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// health asks the service at base how it is.
func health(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz answered %s", resp.Status)
	}
	return nil
}

package sigstoretest

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// launch starts the servers. Fulcio reads its issuers' discovery documents at its
// start, so it is the last.
func (s *Stack) launch() error {
	p, err := s.reserve(7)
	if err != nil {
		return err
	}
	idp, ct, tsa, rekor, rekorGRPC, fulcio, fulcioGRPC := p[0], p[1], p[2], p[3], p[4], p[5], p[6]
	s.issuers, s.Fulcio, s.Rekor = idp.url(), fulcio.url(), rekor.url()
	s.CTLog, s.Timestamps = ct.url()+"/ct", tsa.url()+"/api/v1/timestamp"
	if err := s.writeIssuers(); err != nil {
		return err
	}
	if err := s.run(s.idp(idp), s.ctLog(ct), timestampServer(tsa), rekorServer(rekor, rekorGRPC)); err != nil {
		return err
	}
	return s.run(fulcioServer(fulcio, fulcioGRPC, s.CTLog))
}

// reserve takes ports, which Stop gives back.
func (s *Stack) reserve(n int) ([]port, error) {
	for range n {
		p, err := reserve()
		if err != nil {
			return nil, err
		}
		s.ports = append(s.ports, p)
	}
	return s.ports, nil
}

// run starts servers side by side and waits for all.
func (s *Stack) run(servers ...server) error {
	first := len(s.processes)
	for _, v := range servers {
		p, err := s.launcher.start(s.bin, s.dir, v.program, v.args...)
		if err != nil {
			return fmt.Errorf("%w (build the servers with make interop)", err)
		}
		s.processes = append(s.processes, p)
	}
	for i, p := range s.processes[first:] {
		if err := p.ready(servers[i].ready); err != nil {
			return err
		}
	}
	return nil
}

// server is a program, its arguments, and a URL that answers when it is up.
type server struct {
	program string
	ready   string
	args    []string
}

func (s *Stack) idp(at port) server {
	return server{"idp", s.Issuer(People) + "/.well-known/openid-configuration", []string{
		"-addr", at.address(), string(GitHub), string(GitLab), string(People),
	}}
}

func (s *Stack) ctLog(at port) server {
	return server{"ctlog", s.CTLog + "/ct/v1/get-sth", []string{
		"-addr", at.address(), "-prefix", "ct", "-roots", fileCA, "-key", fileCTKey,
	}}
}

func timestampServer(at port) server {
	return server{"tsa", at.url() + "/ping", []string{"-port", at.String(), "-key", fileTSAKey, "-chain", fileTSA}}
}

// rekorServer is Rekor v2 with its log in the directory. Batches are short
// because few writers wait for each other here. Its memory of duplicates over
// restarts stays off: it would reserve 2 GiB of sparse files.
func rekorServer(http, grpc port) server {
	return server{"posix", http.url() + "/healthz", []string{
		"serve", "--hostname", origin, "--storage-dir", "rekor", "--signer-filepath", fileLogKey,
		"--http-address", "127.0.0.1", "--http-port", http.String(),
		"--grpc-address", "127.0.0.1", "--grpc-port", grpc.String(), "--http-metrics-port", "0",
		"--checkpoint-interval", "200ms", "--batch-max-age", "50ms",
	}}
}

// fulcioServer is Fulcio with a key in a file. The socket of its old API is a
// path in the directory, not the fixed one.
func fulcioServer(http, grpc port, ctLog string) server {
	return server{"fulcio", http.url() + "/healthz", []string{
		"serve", "--config-path", fileIssuers,
		"--ca", "fileca", "--fileca-cert", fileCA, "--fileca-key", fileCAKey, "--fileca-key-passwd", "", "--fileca-watch=false",
		"--ct-log-url", ctLog, "--ct-log-public-key-path", fileCTPub,
		"--host", "127.0.0.1", "--port", http.String(), "--grpc-host", "127.0.0.1", "--grpc-port", grpc.String(),
		"--metrics-port", "0", "--legacy-unix-domain-socket", "fulcio.sock",
	}}
}

//go:embed issuers.yaml
var issuersFile string

func (s *Stack) writeIssuers() error {
	text := strings.NewReplacer("ISSUERS", s.issuers, "FORGE", Forge).Replace(issuersFile)
	return os.WriteFile(filepath.Join(s.dir, fileIssuers), []byte(text), 0o600)
}

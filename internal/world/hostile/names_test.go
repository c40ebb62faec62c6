package hostile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/oci"
)

const registryName = "registry.example.test"

// network is what lies between a client and hosts that are not loopback: an HTTPS
// proxy that leads to servers on this machine, and an HTTP proxy that keeps what
// would have left in plain text.
type network struct {
	t       *testing.T
	ca      string // PEM file
	cert    tls.Certificate
	mu      sync.Mutex
	address map[string]string // by host:port, guarded by mu
	plain   []string          // requests in plain text, guarded by mu
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, address: map[string]string{}}
	n.ca, n.cert = certificate(t, registryName, "other.example.test", "tokens.example.test")
	proxy := httptest.NewServer(http.HandlerFunc(n.connect))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	return n
}

// certificate is its own authority.
func certificate(t *testing.T, names ...string) (file string, cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 2)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (n *network) connect(w http.ResponseWriter, req *http.Request) {
	n.mu.Lock()
	to := n.address[req.Host]
	if req.Method != http.MethodConnect {
		n.plain = append(n.plain, req.Method+" "+req.URL.String())
	}
	n.mu.Unlock()
	if to == "" {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	there, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(there, buf); _ = there.Close() }()
	_, _ = io.Copy(here, there)
}

// serve makes h the server of a name over TLS, on this address.
func (n *network) serve(name string, h http.Handler, edit func(*tls.Config)) (address string) {
	n.t.Helper()
	srv := httptest.NewUnstartedServer(h)
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		n.t.Fatal(err)
	}
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{n.cert}}
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if edit != nil {
		edit(srv.TLS)
	}
	srv.StartTLS()
	n.t.Cleanup(srv.Close)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.address[name+":443"] = l.Addr().String()
	return l.Addr().String()
}

// client trusts the network's authority and has logins, each of them a Docker
// configuration's entry.
func (n *network) client(ca string, logins map[string]map[string]string, l oci.Limits) *oci.Client {
	n.t.Helper()
	data, err := json.Marshal(map[string]any{"auths": logins})
	if err != nil {
		n.t.Fatal(err)
	}
	config := filepath.Join(n.t.TempDir(), "config.json")
	if err := os.WriteFile(config, data, 0o600); err != nil {
		n.t.Fatal(err)
	}
	c, err := oci.NewClient(oci.Options{CAFile: ca, DockerConfig: config, Limits: l})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = c.Close() })
	return c
}

// leftInPlainText returns the requests to other hosts that were not encrypted.
func (n *network) leftInPlainText() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.plain
}

package world_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	registryName = "registry.example.test"
	tokensName   = "tokens.example.test"
)

// names gives servers on this machine names and a certificate, so that nothing
// treats them as loopback: clients reach them through an HTTPS proxy, as from a
// plant network.
type names struct {
	t            *testing.T
	ca, crt, key string // PEM files
	mu           sync.Mutex
	address      map[string]string // "host:443" -> address
}

func newNames(t *testing.T) *names {
	t.Helper()
	dir := t.TempDir()
	n := &names{t: t, crt: filepath.Join(dir, "server.crt"), key: filepath.Join(dir, "server.key"), address: map[string]string{}}
	n.ca = n.crt
	n.certify()
	proxy := httptest.NewServer(http.HandlerFunc(n.connect))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "")
	return n
}

// certify makes a certificate for both names that is its own authority.
func (n *names) certify() {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{registryName, tokensName}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		n.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		n.t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{n.crt: {Type: "CERTIFICATE", Bytes: der}, n.key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
}

// is says where a name is served.
func (n *names) is(name, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.address[name+":443"] = address
}

// serve runs a handler under a name, with the certificate.
func (n *names) serve(name string, h http.Handler) {
	n.t.Helper()
	pair, err := tls.LoadX509KeyPair(n.crt, n.key)
	if err != nil {
		n.t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	srv.StartTLS()
	n.t.Cleanup(srv.Close)
	n.is(name, srv.Listener.Addr().String())
}

// connect is the proxy: it sees host names and ciphertext.
func (n *names) connect(w http.ResponseWriter, req *http.Request) {
	n.mu.Lock()
	address, ok := n.address[req.Host]
	n.mu.Unlock()
	if req.Method != http.MethodConnect || !ok {
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	}
	server, err := net.Dial("tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	w.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	go func() {
		_, _ = io.Copy(server, buffered)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}

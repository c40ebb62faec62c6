package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	adminUser = "admin"
	nodeUser  = "system:node:" + nodeName
	proxyUser = "system:kube-proxy"
)

// users are those of the cluster, with their groups. Each has a token.
var users = map[string]string{
	adminUser:                        "system:masters",
	nodeUser:                         "system:nodes",
	proxyUser:                        "",
	"system:kube-controller-manager": "",
	"system:kube-scheduler":          "",
}

func pki(name string) string        { return filepath.Join("/run/pki", name) }
func userConfig(user string) string { return pki(user + ".json") }

// authority issues the cluster's certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  time.Time
}

// writePKI makes the keys, certificates and tokens of a cluster.
func (n *nodeRunner) writePKI() error {
	if err := os.MkdirAll(pki(""), 0o700); err != nil {
		return err
	}
	a := &authority{now: time.Now()}
	if err := a.issue("ca", &x509.Certificate{Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}); err != nil {
		return err
	}
	err := errors.Join(
		a.issue("apiserver", &x509.Certificate{
			Subject:     pkix.Name{CommonName: "kube-apiserver"},
			DNSNames:    []string{"localhost", "kubernetes.default.svc"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(n.network.node()), net.ParseIP(n.network.apiService())},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}),
		a.issue("kubelet-client", &x509.Certificate{
			Subject:     pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}),
		writeAccountKeys(),
	)
	if err != nil {
		return err
	}
	return n.writeUsers(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// issue writes NAME.key and NAME.crt. The first is the authority's own.
func (a *authority) issue(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.SerialNumber = new(big.Int).SetBytes([]byte(rand.Text()))
	template.NotBefore, template.NotAfter = a.now.Add(-time.Hour), a.now.AddDate(1, 0, 0)
	if a.cert == nil {
		a.cert, a.key = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	if a.cert == template {
		if a.cert, err = x509.ParseCertificate(raw); err != nil {
			return err
		}
	}
	return errors.Join(writePEM(name+".crt", "CERTIFICATE", raw, nil), writeKey(name+".key", key))
}

// writeAccountKeys makes the key that service accounts' tokens are signed with.
func writeAccountKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	return errors.Join(writeKey("accounts.key", key), writePEM("accounts.pub", "PUBLIC KEY", public, err))
}

func writeKey(name string, key *ecdsa.PrivateKey) error {
	raw, err := x509.MarshalECPrivateKey(key)
	return writePEM(name, "EC PRIVATE KEY", raw, err)
}

func writePEM(name, kind string, raw []byte, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(pki(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600)
}

// writeUsers makes the users' tokens, the list of them for the API server, and a
// kubeconfig for each; the administrator's is for the tests.
func (n *nodeRunner) writeUsers(ca []byte) error {
	var list string
	for user, group := range users {
		token := rand.Text()
		list += fmt.Sprintf("%s,%s,%s,%q\n", token, user, user, group)
		values := map[string]string{
			"Server": "https://" + n.network.node() + ":" + apiPort, "CA": base64.StdEncoding.EncodeToString(ca),
			"User": user, "Token": token,
		}
		if err := fill("kubeconfig.json", userConfig(user), 0o600, values); err != nil {
			return err
		}
		if user != adminUser {
			continue
		}
		n.api = newAPI(n.network, ca, token)
		const shared = "/run/cluster/kubeconfig"
		if err := errors.Join(fill("kubeconfig.json", shared, 0o640, values), os.Chown(shared, 0, n.group)); err != nil {
			return err
		}
	}
	return os.WriteFile(pki("tokens.csv"), []byte(list), 0o600)
}

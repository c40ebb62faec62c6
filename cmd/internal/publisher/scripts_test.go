package publisher

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consign-dev/consign/internal/apply/compose"
	"github.com/consign-dev/consign/internal/apply/helm"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/cli/clitest"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/oci"
)

// TestMain puts the appliers beside the publisher, which looks for them nowhere
// else.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"publisher":       func() { os.Exit(cli.Main(Command())) },
		"applier-compose": applier(compose.Run), "applier-helm": applier(helm.Run),
	})
}

func applier(run func(context.Context, []string, io.Reader, io.Writer) error) func() {
	return func() {
		if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "applier:", err)
			os.Exit(1)
		}
	}
}

// TestScripts runs the program against a registry over HTTP. Every script finds
// a world of its own in its directory:
//
//	registry/    what the registry at $REGISTRY keeps
//	acme/        keys of the release channel $REGISTRY/acme/releases
//	plant/       keys of the deployment channel $REGISTRY/plant/deployments
//	pass         the passphrase of all keys
//	policy.yaml  trusts acme for the application hello; with acme-root.json
//	package/     the example package, with an image that nobody runs
//
// $ACME and $PLANT are the addresses of the channels, $LOGKEY is a log key of
// the device press-07.
func TestScripts(t *testing.T) {
	prepared := prepare(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Setup: func(env *testscript.Env) error { return setUp(env, prepared) },
		Cmds: clitest.Commands(map[string]func(*testscript.TestScript, bool, []string){
			"certificate": certificate, "overwrite": overwrite, "proxy": proxy, "writes": writes,
		}),
	})
}

// prepare makes the keys and channels once. A channel does not know its registry's
// address, so each script can serve a copy of it under another one.
func prepare(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(dir, "pass"), []byte("correct horse\n"), 0o600))
	address, stop, err := serve(filepath.Join(dir, "registry"), new(atomic.Int64))
	must(err)
	defer stop()
	for _, c := range []struct{ keys, repository, kind string }{
		{"acme", "/acme/releases", "releases"}, {"plant", "/plant/deployments", "deployments"},
	} {
		root := Command()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		args := []string{"channel", "init", address + c.repository, "--kind", c.kind, "--keys", filepath.Join(dir, c.keys), "--passphrase-file", filepath.Join(dir, "pass")}
		if exit := cli.Execute(t.Context(), root, args); exit != cli.ExitDone {
			t.Fatalf("publisher %s: exit %d: %s", strings.Join(args, " "), exit, &out)
		}
		must(hasten(filepath.Join(dir, c.keys), []byte("correct horse")))
	}
	must(os.CopyFS(filepath.Join(dir, "package"), os.DirFS("../../../examples/hello/package")))
	must(os.RemoveAll(filepath.Join(dir, "package", "images")))
	must(writeImage(filepath.Join(dir, "package", "images"), "localhost/hello:1.0.0"))
	return dir
}

// hasten encrypts the keys of a directory at the least cost: hundreds of commands
// open them.
func hasten(dir string, phrase []byte) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	for _, file := range files {
		signer, failed := keys.Load(file, func() ([]byte, error) { return phrase, nil })
		if failed != nil {
			return failed
		}
		err = errors.Join(err, os.Remove(file), os.Remove(file+keys.PublicSuffix), keys.Save(file, signer, phrase, 1))
	}
	return err
}

// serve runs a registry that counts the requests which may change something.
func serve(dir string, changes *atomic.Int64) (address string, stop func(), err error) {
	reg, err := oci.NewRegistry(oci.RegistryOptions{Dir: dir, CollectEvery: -1})
	if err != nil {
		return "", nil, err
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			changes.Add(1)
		}
		reg.ServeHTTP(w, r)
	}))
	return srv.Listener.Addr().String(), func() { srv.Close(); _ = reg.Close(context.Background()) }, nil
}

func setUp(env *testscript.Env, prepared string) error {
	if err := clitest.Bare(env); err != nil {
		return err
	}
	if err := os.CopyFS(env.WorkDir, os.DirFS(prepared)); err != nil {
		return err
	}
	// CopyFS widens modes by design; keys that others can read are refused.
	private, err := filepath.Glob(filepath.Join(env.WorkDir, "*", "*.pem"))
	if err != nil {
		return err
	}
	for _, file := range append(private, filepath.Join(env.WorkDir, "pass")) {
		if err := os.Chmod(file, 0o600); err != nil {
			return err
		}
	}
	changes := new(atomic.Int64)
	env.Values[changesKey{}] = changes
	address, stop, err := serve(filepath.Join(env.WorkDir, "registry"), changes)
	if err != nil {
		return err
	}
	env.Defer(stop)
	env.Setenv("REGISTRY", address)
	env.Setenv("ACME", address+"/acme/releases")
	env.Setenv("PLANT", address+"/plant/deployments")
	_, logKey, err := audit.GenerateKey("press-07")
	if err != nil {
		return err
	}
	env.Setenv("LOGKEY", logKey)
	return writePolicy(env.WorkDir, address)
}

func writePolicy(dir, address string) error {
	root, err := os.ReadFile(filepath.Join(dir, "acme", "root.json"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "acme-root.json"), root, 0o600); err != nil {
		return err
	}
	pub, err := os.ReadFile(filepath.Join(dir, "acme", "signing.pem"+keys.PublicSuffix))
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`apiVersion: consign.dev/v1alpha1
kind: TrustPolicy
channels:
  acme:
    repository: %s/acme/releases
    root: acme-root.json
applications:
  - id: hello
    channel: acme
    minimumVersion: 1.0.0
    mayRemove: true
    signatures:
      - role: supplier
        threshold: 1
        keys:
          - |
            %s
`, address, strings.ReplaceAll(strings.TrimSpace(string(pub)), "\n", "\n            "))
	return os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(text), 0o600)
}

// writeImage makes an image layout whose one layer is some bytes.
func writeImage(dir, ref string) error {
	l, err := oci.CreateLayout(dir)
	if err != nil {
		return err
	}
	layer, err := l.PutBytes(ocispec.MediaTypeImageLayer, []byte("a layer that nobody unpacks"))
	if err != nil {
		return err
	}
	var errs []error
	put := func(mediaType string, v any) ocispec.Descriptor {
		data, marshalErr := json.Marshal(v)
		d, putErr := l.PutBytes(mediaType, data)
		errs = append(errs, marshalErr, putErr)
		return d
	}
	image := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	image.RootFS.Type = "layers"
	image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, layer.Digest)
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: put(ocispec.MediaTypeImageConfig, image), Layers: []ocispec.Descriptor{layer}}
	manifest.SchemaVersion = 2
	top := put(ocispec.MediaTypeImageManifest, manifest)
	top.Annotations = map[string]string{ocispec.AnnotationRefName: ref}
	return errors.Join(append(errs, l.SetIndex(top))...)
}

// certificate is the script command "certificate CERT KEY": a self-signed
// certificate for registry.test, to be served with and to be trusted by --ca-file.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"registry.test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

type changesKey struct{}

// writes is the script command "writes some|none": whether the registry was sent
// requests other than GET and HEAD since the last time that the script asked.
func writes(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 || args[0] != "some" && args[0] != "none" {
		ts.Fatalf("usage: writes some|none")
	}
	if n := ts.Value(changesKey{}).(*atomic.Int64).Swap(0); (n == 0) != (args[0] == "none") {
		ts.Fatalf("%d requests other than GET and HEAD, want %s", n, args[0])
	}
}

// proxy is the script command "proxy ADDRESS": an HTTPS proxy that leads every
// host name to ADDRESS, where no name server can. Loopback itself is never proxied.
func proxy(ts *testscript.TestScript, _ bool, args []string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		to, err := net.Dial("tcp", args[0])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		fmt.Fprint(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); _ = to.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(from, to)
	}))
	ts.Defer(srv.Close)
	ts.Setenv("HTTPS_PROXY", srv.URL)
}

// overwrite is the script command "overwrite OLD NEW": whoever has the disk of
// the registry replaces text, of the same length, in every blob that has it.
func overwrite(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 || len(args[0]) != len(args[1]) {
		ts.Fatalf("usage: overwrite OLD NEW, of one length")
	}
	changed := 0
	ts.Check(filepath.WalkDir(ts.MkAbs("registry"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte(args[0])) {
			return err
		}
		changed++
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, bytes.ReplaceAll(data, []byte(args[0]), []byte(args[1])), 0o600)
	}))
	if changed == 0 {
		ts.Fatalf("no blob of the registry has %q", args[0])
	}
}

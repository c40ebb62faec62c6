package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// life is the other end of the standard input of the Vault of all tests of this
// package, which ends when this process does.
var life io.Closer

// started is that Vault: its address and root token.
var started = sync.OnceValues(func() ([2]string, error) {
	var lines [2]string
	bin := os.Getenv("CONSIGN_KMS_BIN")
	if bin == "" {
		return lines, fmt.Errorf("CONSIGN_KMS_BIN does not name where Vault is built: run this with make kms")
	}
	cmd := exec.Command(filepath.Join(bin, "vault"))
	cmd.Stderr = os.Stderr
	var err error
	if life, err = cmd.StdinPipe(); err != nil {
		return lines, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return lines, err
	}
	if err := cmd.Start(); err != nil {
		return lines, err
	}
	words := bufio.NewScanner(out)
	for n := range lines {
		if !words.Scan() {
			return lines, fmt.Errorf("vault ended before it was ready: %w", words.Err())
		}
		lines[n] = words.Text()
	}
	return lines, nil
})

// engines counts the transit engines in it: every test has one of its own.
var engines atomic.Int64

// vault is that server with a transit engine for one test, and a proxy before it
// that counts and can lie.
type vault struct {
	t                              *testing.T
	address, token, engine, facade string
	// reads and signs count what the proxy was asked for.
	reads, signs atomic.Int64
	// swap, if not nil, is the key by which the proxy has everything signed.
	swap atomic.Pointer[string]
}

func newVault(t *testing.T) *vault {
	t.Helper()
	lines, err := started()
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{t: t, address: lines[0], token: lines[1], engine: fmt.Sprintf("transit-%d", engines.Add(1))}
	v.post("sys/mounts/"+v.engine, map[string]any{"type": "transit"})
	target, err := url.Parse(v.address)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.Path = v.watch(r.In.URL.Path)
	}})
	t.Cleanup(front.Close)
	v.facade = front.URL
	t.Setenv("VAULT_ADDR", front.URL)
	t.Setenv("VAULT_TOKEN", v.token)
	t.Setenv("TRANSIT_SECRET_ENGINE_PATH", v.engine)
	return v
}

// watch counts a request and returns the path that Vault is asked for.
func (v *vault) watch(path string) string {
	sign, key, ok := strings.Cut(path, "/sign/")
	if !ok {
		v.reads.Add(1)
		return path
	}
	v.signs.Add(1)
	if other := v.swap.Load(); other != nil {
		_, hash, _ := strings.Cut(key, "/")
		return sign + "/sign/" + *other + "/" + hash
	}
	return path
}

// key makes a key of a type of Vault's and returns its URI.
func (v *vault) key(name, kind string) string {
	v.t.Helper()
	v.post(v.engine+"/keys/"+name, map[string]any{"type": kind})
	return "hashivault://" + name
}

func (v *vault) rotate(name string) {
	v.t.Helper()
	v.post(v.engine+"/keys/"+name+"/rotate", nil)
}

func (v *vault) post(path string, body map[string]any) {
	v.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.address+"/v1/"+path, bytes.NewReader(data))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", v.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		v.t.Fatalf("vault: %s: %s", path, resp.Status)
	}
}

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// serve starts the HTTP server of the repository: metadata/ and targets/ below
// a path of its own. It reads what a test has set before it ran the client.
func (r *simulator) serve() {
	server := httptest.NewServer(http.HandlerFunc(r.answer))
	r.t.Cleanup(server.Close)
	r.url = server.URL + "/some%20test"
}

func (r *simulator) answer(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest, ok := strings.CutPrefix(req.URL.EscapedPath(), "/some%20test/")
	kind, name, found := strings.Cut(rest, "/")
	var data []byte
	switch {
	case !ok || !found:
	case kind == "metadata":
		r.requests = append(r.requests, name)
		data = r.metadata(name)
	case kind == "targets":
		r.downloaded = append(r.downloaded, name)
		data = r.artifact(name)
	}
	if data == nil {
		http.NotFound(w, req)
		return
	}
	_, _ = w.Write(data)
}

// metadata finds a file: timestamp.json, N.root.json, and N.ROLE.json with
// consistent snapshots or ROLE.json without.
func (r *simulator) metadata(name string) []byte {
	base, ok := strings.CutSuffix(name, ".json")
	number, role, numbered := strings.Cut(base, ".")
	if !ok {
		return nil
	}
	if base == "timestamp" || !r.root.Signed.ConsistentSnapshot && !(numbered && role == "root") {
		return r.document(base, len(r.published[unescaped(base)]))
	}
	n, err := strconv.Atoi(number)
	if err != nil || !numbered {
		return nil
	}
	return r.document(role, n)
}

func (r *simulator) document(escaped string, n int) []byte {
	all := r.published[unescaped(escaped)]
	if n < 1 || n > len(all) {
		return nil
	}
	return all[n-1]
}

func unescaped(name string) string {
	plain, err := url.PathUnescape(name)
	if err != nil {
		return ""
	}
	return plain
}

// artifact finds a target: DIR/HASH.NAME with consistent snapshots, DIR/NAME
// without.
func (r *simulator) artifact(name string) []byte {
	dir, base := path.Split(name)
	hash := ""
	if r.root.Signed.ConsistentSnapshot {
		hash, base, _ = strings.Cut(base, ".")
	}
	a, ok := r.artifacts[unescaped(dir+base)]
	if !ok || hash != "" && !slices.ContainsFunc(hashesOf(a), func(h string) bool { return h == hash }) {
		return nil
	}
	return a.content
}

func hashesOf(a artifact) []string {
	var out []string
	for _, h := range a.file.Hashes {
		out = append(out, fmt.Sprintf("%x", []byte(h)))
	}
	return out
}

// asked returns the names of the metadata files asked for since the last call.
func (r *simulator) asked() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := strings.Join(r.requests, " ")
	r.requests = nil
	return out
}

// fetched returns the paths of all targets asked for.
func (r *simulator) fetched() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.downloaded)
}

// last is the metadata file that was asked for last.
func (r *simulator) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.requests) == 0 {
		return ""
	}
	return r.requests[len(r.requests)-1]
}

package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/oci"
)

// RepositoryName is the one repository of [Store.Handler]. It is part of the
// image references that engines remember (127.0.0.1:PORT/c@sha256:...), so
// changing it would restart every container.
const RepositoryName = "c"

// Handler serves the store to the engines of this machine as a read-only
// registry (OCI Distribution Spec 1.1, Pull) on 127.0.0.1:port:
//
//	GET, HEAD /v2/
//	GET, HEAD /v2/c/manifests/sha256:...
//	GET, HEAD /v2/c/blobs/sha256:...
//
// There are no tags, no listing and no writes. A request must carry the Host
// header 127.0.0.1:port, else the answer is 421: a page in a browser on this
// machine that has its own name resolve to 127.0.0.1 gets nothing, and no
// CORS header invites one. Manifests are verified before the first byte is
// sent. Blobs are verified while they are sent, and a connection is broken
// before the last bytes of a wrong one.
func (s *Store) Handler(port int) http.Handler {
	return &handler{s: s, host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
}

type handler struct {
	s    *Store
	host string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if req.Host != h.host {
		http.Error(w, "this is not the host you are looking for", http.StatusMisdirectedRequest)
		return
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "read only", http.StatusMethodNotAllowed)
		return
	}
	if req.URL.Path == "/v2/" || req.URL.Path == "/v2" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
		return
	}
	kind, reference, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"+RepositoryName+"/"), "/")
	d, err := oci.ParseDigest(reference)
	switch {
	case err != nil:
		http.NotFound(w, req)
	case kind == "manifests":
		h.manifest(w, req, d)
	case kind == "blobs":
		h.blob(w, req, d)
	default:
		http.NotFound(w, req)
	}
}

func (h *handler) manifest(w http.ResponseWriter, req *http.Request, d digest.Digest) {
	size, err := h.s.Size(d)
	if err != nil || size > oci.MaxManifestBytes {
		h.failed(w, req, err)
		return
	}
	data, err := h.s.Bytes(ocispec.Descriptor{Digest: d, Size: size}, oci.MaxManifestBytes)
	if err != nil {
		h.failed(w, req, err)
		return
	}
	mediaType, err := oci.ManifestMediaType(data)
	if err != nil { // a blob asked for as a manifest
		http.NotFound(w, req)
		return
	}
	send(w, req, mediaType, d, size, bytes.NewReader(data))
}

func (h *handler) blob(w http.ResponseWriter, req *http.Request, d digest.Digest) {
	size, err := h.s.Size(d)
	if err != nil {
		h.failed(w, req, err)
		return
	}
	rc, err := h.s.Open(ocispec.Descriptor{Digest: d, Size: size})
	if err != nil {
		h.failed(w, req, err)
		return
	}
	defer rc.Close()
	send(w, req, "application/octet-stream", d, size, rc)
}

// send answers with content. Byte ranges are not offered, because a part
// cannot be verified. When content fails, fewer bytes than announced were
// written and net/http breaks the connection.
func send(w http.ResponseWriter, req *http.Request, mediaType string, d digest.Digest, size int64, content io.Reader) {
	header := w.Header()
	header.Set("Content-Type", mediaType)
	header.Set("Content-Length", strconv.FormatInt(size, 10))
	header.Set("Docker-Content-Digest", string(d))
	header.Set("Docker-Distribution-Api-Version", "registry/2.0")
	if req.Method == http.MethodHead {
		return
	}
	_, _ = io.Copy(w, content)
}

// failed hides why content cannot be had from whoever asks: the engine can
// only try again, and the agent's next look at the store finds out.
func (h *handler) failed(w http.ResponseWriter, req *http.Request, err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		http.NotFound(w, req)
		return
	}
	http.Error(w, "content is damaged", http.StatusInternalServerError)
}

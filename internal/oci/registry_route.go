package oci

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// route is what a path asks for (OCI Distribution Spec 1.1, Endpoints).
type route struct {
	repo string
	kind string // "manifests", "blobs", "uploads", "referrers" or "tags"
	ref  string // tag, digest or upload session
}

// parseRoute returns false for paths of no endpoint.
func parseRoute(path string) (route, bool) {
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/v2/"), "/"), "/")
	n := len(parts)
	if !strings.HasPrefix(path, "/v2/") || n < 3 {
		return route{}, false
	}
	head := func(tail int) string { return strings.Join(parts[:n-tail], "/") }
	last := parts[n-1]
	switch kind := parts[n-2]; {
	case n > 3 && parts[n-3] == "blobs" && kind == "uploads":
		return route{head(3), "uploads", last}, true
	case kind == "blobs" && last == "uploads":
		return route{head(2), "uploads", ""}, true
	case kind == "manifests", kind == "blobs", kind == "referrers":
		return route{head(2), kind, last}, true
	case kind == "tags" && last == "list":
		return route{head(2), kind, ""}, true
	}
	return route{}, false
}

// A repository is a directory below the root, so its name must not have the
// name of a part of a layout as an element.
func validRepo(name string) bool {
	return validPath(name) && !slices.ContainsFunc(strings.Split(name, "/"), func(element string) bool {
		return element == ocispec.ImageBlobsDir || element == ocispec.ImageLayoutFile || element == ocispec.ImageIndexFile
	})
}

func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/v2/" || req.URL.Path == "/v2" {
		r.inner.ServeHTTP(w, req)
		return
	}
	to, ok := parseRoute(req.URL.Path)
	if !ok {
		http.NotFound(w, req)
		return
	}
	if !validRepo(to.repo) {
		refuse(w, http.StatusBadRequest, errcode.ErrorCodeNameInvalid, "not a repository name")
		return
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		r.read(w, req, to)
	case http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete:
		r.write(w, req, to)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// read answers for repositories that do not exist itself: olareg would
// remember each name that anyone ever asked for.
func (r *Registry) read(w http.ResponseWriter, req *http.Request, to route) {
	switch {
	case r.exists(to.repo):
		if to.kind == "blobs" && req.Method == http.MethodHead {
			r.freshen(to)
		}
		r.inner.ServeHTTP(w, acceptAnything(req))
	case to.kind == "referrers":
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		empty, _ := encodeIndex(nil) // a constant
		_, _ = w.Write(empty)
	default:
		refuse(w, http.StatusNotFound, errcode.ErrorCodeNameUnknown, "repository does not exist")
	}
}

// acceptAnything makes a missing Accept header, or one with */*, name every
// kind of manifest, as RFC 9110 section 12.5.1 says; olareg takes both for
// "nothing".
func acceptAnything(req *http.Request) *http.Request {
	accept := strings.Join(req.Header.Values("Accept"), ",")
	if accept != "" && !strings.Contains(accept, "*/*") {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Set("Accept", acceptManifests.Get("Accept"))
	return req
}

// refuse writes an error of the distribution specification.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]errcode.Errors{"errors": {{Code: code, Message: message}}})
}

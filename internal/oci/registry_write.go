package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/consign-dev/consign/internal/fault"
)

func (r *Registry) write(w http.ResponseWriter, req *http.Request, to route) {
	switch {
	case to.kind == "manifests" && req.Method == http.MethodPut:
		r.putManifest(w, req, to)
	case to.kind == "manifests" && req.Method == http.MethodDelete:
		r.deleteManifest(w, req, to)
	case to.kind == "uploads":
		r.upload(w, req, to)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// lockRepo makes the caller the only writer of manifests in repo.
func (r *Registry) lockRepo(repo string) (unlock func()) {
	m, _ := r.locks.LoadOrStore(repo, new(sync.Mutex))
	mu := m.(*sync.Mutex)
	mu.Lock()
	return mu.Unlock
}

// putManifest stores the bytes of the manifest durably before olareg changes
// index.json, so that whatever the index names after a power cut is there.
func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, to route) {
	if !validReference(to.ref) {
		refuse(w, http.StatusBadRequest, errcode.ErrorCodeManifestInvalid, "neither a tag nor a digest")
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, req.Body, MaxManifestBytes))
	if err != nil {
		r.refuseBody(w, err)
		return
	}
	if err := r.ensureRepo(to.repo); err != nil {
		r.broken(w, to, err)
		return
	}
	defer r.lockRepo(to.repo)()
	met, err := r.preconditions(req, to)
	if err != nil {
		r.broken(w, to, err)
		return
	}
	if !met {
		refuse(w, http.StatusPreconditionFailed, errcode.ErrorCodeDenied, "the tag names another manifest now")
		return
	}
	d := digest.FromBytes(data)
	if to.ref == string(d) || tagPattern.MatchString(to.ref) { // else olareg refuses or it is sha512
		if err := r.storeBlob(to.repo, d, data); err != nil {
			r.broken(w, to, err)
			return
		}
	}
	req = req.Clone(req.Context())
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	r.forward(w, req, to, func(h http.Header) error {
		return r.syncManifest(to.repo, h.Get(headerDigest), h.Get("OCI-Subject"))
	})
}

func validReference(ref string) bool {
	_, err := digest.Parse(ref)
	return err == nil || tagPattern.MatchString(ref)
}

func (r *Registry) deleteManifest(w http.ResponseWriter, req *http.Request, to route) {
	if !r.exists(to.repo) {
		refuse(w, http.StatusNotFound, errcode.ErrorCodeNameUnknown, "repository does not exist")
		return
	}
	defer r.lockRepo(to.repo)()
	r.forward(w, req, to, func(http.Header) error { return r.syncIndex(to.repo) })
}

// forward lets olareg handle req and holds its answer back until commit, run
// after a success, has put the change on the disk.
func (r *Registry) forward(w http.ResponseWriter, req *http.Request, to route, commit func(http.Header) error) {
	answer := newRecorder()
	r.inner.ServeHTTP(answer, req)
	if answer.status == http.StatusCreated || req.Method == http.MethodDelete && answer.status == http.StatusAccepted {
		err := fault.Point("registry.commit")
		if err == nil {
			err = commit(answer.sent)
		}
		if err != nil {
			r.broken(w, to, err)
			return
		}
	}
	if answer.status >= http.StatusInternalServerError && r.diskFull() {
		r.broken(w, to, unix.ENOSPC)
		return
	}
	answer.copyTo(w)
}

// preconditions compares the digest that the reference names now with If-Match
// and If-None-Match (RFC 9110 sections 13.1.1 and 13.1.2), which take a list
// of quoted digests or "*". A bare digest is accepted too.
func (r *Registry) preconditions(req *http.Request, to route) (bool, error) {
	match, noneMatch := req.Header.Values("If-Match"), req.Header.Values("If-None-Match")
	if len(match) == 0 && len(noneMatch) == 0 {
		return true, nil
	}
	current, err := r.current(req.Context(), to)
	if err != nil {
		return false, err
	}
	if len(match) > 0 && !matches(match, current) {
		return false, nil
	}
	return len(noneMatch) == 0 || !matches(noneMatch, current), nil
}

func matches(values []string, current string) bool {
	for tag := range strings.SplitSeq(strings.Join(values, ","), ",") {
		tag = strings.Trim(strings.TrimSpace(tag), `"`)
		if current != "" && (tag == "*" || tag == current) {
			return true
		}
	}
	return false
}

// current is the digest that the reference names, "" for none.
func (r *Registry) current(ctx context.Context, to route) (string, error) {
	req := &http.Request{
		Method: http.MethodHead,
		URL:    &url.URL{Path: "/v2/" + to.repo + "/manifests/" + to.ref},
		Header: http.Header{},
	}
	answer := newRecorder()
	r.inner.ServeHTTP(answer, acceptAnything(req.WithContext(ctx)))
	switch answer.status {
	case http.StatusOK:
		return answer.sent.Get(headerDigest), nil
	case http.StatusNotFound:
		return "", nil
	}
	return "", fmt.Errorf("look up %s: status %d", to.ref, answer.status)
}

func (r *Registry) refuseBody(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, errcode.ErrorCodeManifestInvalid, fmt.Sprintf("manifests may have %d bytes", tooLarge.Limit))
		return
	}
	refuse(w, http.StatusBadRequest, errcode.ErrorCodeManifestInvalid, "the request ended early")
}

// broken answers for a fault of ours; its text stays in the log. That the disk
// is full is told: trying again is no use until somebody makes room.
func (r *Registry) broken(w http.ResponseWriter, to route, err error) {
	r.log.Error("store", "repository", to.repo, "kind", to.kind, "error", err)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		refuse(w, http.StatusInsufficientStorage, errcode.ErrorCodeUnsupported, "no space left on the disk of the registry")
		return
	}
	w.WriteHeader(http.StatusInternalServerError)
}

// diskFull says whether there is hardly any room left. olareg does not tell why
// it could not write.
func (r *Registry) diskFull() bool {
	var fs unix.Statfs_t
	return unix.Statfs(r.opts.Dir, &fs) == nil && int64(fs.Bavail)*int64(fs.Bsize) < copyBuffer
}

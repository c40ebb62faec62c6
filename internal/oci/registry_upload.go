package oci

import (
	"net/http"
	"net/url"
	"path"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// upload handles the steps of a blob upload. The last one, whichever it is,
// answers 201 and names the digest in the query (OCI Distribution Spec 1.1,
// Pushing blobs).
func (r *Registry) upload(w http.ResponseWriter, req *http.Request, to route) {
	if req.Method == http.MethodPost {
		if err := r.ensureRepo(to.repo); err != nil {
			r.broken(w, to, err)
			return
		}
	} else if !r.exists(to.repo) {
		refuse(w, http.StatusNotFound, errcode.ErrorCodeNameUnknown, "repository does not exist")
		return
	}
	req.Body = http.MaxBytesReader(w, req.Body, r.opts.MaxBlob)
	if req.Method != http.MethodPost {
		r.proceed(w, req, to)
		return
	}
	q := req.URL.Query()
	if from := q.Get("from"); from != "" && !(validRepo(from) && r.exists(from)) {
		req = withoutMount(req)
	}
	if q.Get("digest") != "" {
		r.uploadAtOnce(w, withoutMount(req), to)
		return
	}
	r.begin(w, req, to)
}

// begin opens an upload, or answers at once for a blob that can be mounted.
func (r *Registry) begin(w http.ResponseWriter, req *http.Request, to route) {
	if oldest, full := r.uploads.oldest(); full {
		if oldest == (session{}) {
			refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many uploads at a time")
			return
		}
		r.cancelUploads([]session{oldest})
	}
	answer := r.handle(req, to)
	if answer.status == http.StatusAccepted {
		if at, err := url.Parse(answer.sent.Get("Location")); err == nil {
			r.uploads.begin(session{to.repo, path.Base(at.Path)})
		}
	}
	answer.copyTo(w)
}

// uploadAtOnce takes a blob that comes with the POST as a POST and a PUT, so
// that an upload which breaks off leaves a session that is known here.
func (r *Registry) uploadAtOnce(w http.ResponseWriter, req *http.Request, to route) {
	open := withQuery(req, func(q url.Values) { q.Del("digest") })
	open.Body, open.ContentLength = http.NoBody, 0
	begun := newRecorder()
	r.begin(begun, open, to)
	at, err := url.Parse(begun.sent.Get("Location"))
	if err != nil || begun.status != http.StatusAccepted {
		begun.copyTo(w)
		return
	}
	put := withQuery(req, func(q url.Values) {
		for k, v := range at.Query() {
			q[k] = v
		}
	})
	put.Method, put.URL.Path, put.URL.RawPath = http.MethodPut, at.Path, ""
	to.ref = path.Base(at.Path)
	r.proceed(w, put, to)
}

// proceed continues, ends or cancels an upload.
func (r *Registry) proceed(w http.ResponseWriter, req *http.Request, to route) {
	at := session{to.repo, to.ref}
	defer r.uploads.use(at)()
	answer := r.handle(req, to)
	done := answer.status < 300 && req.Method != http.MethodPatch
	if done || answer.status >= 400 && !r.isOpen(at) {
		r.uploads.end(at)
	}
	if done && req.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent) // olareg says 202
		return
	}
	answer.copyTo(w)
}

// isOpen asks olareg, which ends an upload also when its digest is wrong.
func (r *Registry) isOpen(s session) bool {
	answer := newRecorder()
	r.inner.ServeHTTP(answer, s.request(http.MethodGet))
	return answer.status == http.StatusNoContent
}

// handle lets olareg take a step and, where that made a blob available, puts
// the blob on the disk.
func (r *Registry) handle(req *http.Request, to route) *recorder {
	answer := newRecorder()
	r.forward(answer, req, to, func(http.Header) error {
		if req.Method == http.MethodDelete {
			return nil
		}
		q := req.URL.Query()
		named := q.Get("digest")
		if named == "" {
			named = q.Get("mount")
		}
		d, err := digest.Parse(named)
		if err != nil {
			return err
		}
		if err := r.syncBlob(to.repo, d); err != nil {
			return err
		}
		// The blob may have been old, and removed between olareg's look at it
		// and here.
		return r.touch(to.repo, d)
	})
	return answer
}

// withoutMount makes an ordinary upload of a mount from nowhere, which is what
// the specification asks for when a mount is not possible.
func withoutMount(req *http.Request) *http.Request {
	return withQuery(req, func(q url.Values) {
		q.Del("mount")
		q.Del("from")
	})
}

func withQuery(req *http.Request, change func(url.Values)) *http.Request {
	req = req.Clone(req.Context())
	q := req.URL.Query()
	change(q)
	req.URL.RawQuery = q.Encode()
	return req
}

package oci

import (
	"net/http"
	"net/url"
	"sync"
	"time"
)

// maxUploads bounds the open files of unfinished uploads.
const maxUploads = 1024

// uploads are the uploads that were begun and not ended. olareg keeps a file
// open for each of them, which nobody else would ever close.
type uploads struct {
	mu    sync.Mutex
	open  map[session]*progress
	count uint64 // uses so far
}

type session struct{ repo, id string }

type progress struct {
	requests int       // running now
	used     uint64    // the count at its last use
	since    time.Time // nothing has happened, as far as the collector saw
}

func (u *uploads) begin(s session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open == nil {
		u.open = map[session]*progress{}
	}
	u.count++
	u.open[s] = &progress{used: u.count}
}

// use says that a request belongs to an upload, until done is called.
func (u *uploads) use(s session) (done func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, ok := u.open[s]
	if !ok {
		return func() {}
	}
	p.requests++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.count++
		p.requests, p.used, p.since = p.requests-1, u.count, time.Time{}
	}
}

func (u *uploads) end(s session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, s)
}

// oldest is the upload that has to go for another one, none if all are busy.
func (u *uploads) oldest() (found session, full bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.open) < maxUploads {
		return found, false
	}
	for s, p := range u.open {
		if p.requests == 0 && (found == (session{}) || p.used < u.open[found].used) {
			found = s
		}
	}
	return found, true
}

// idle are the uploads in which nothing happened since before.
func (u *uploads) idle(now, before time.Time) []session {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found []session
	for s, p := range u.open {
		switch {
		case p.requests > 0:
		case p.since.IsZero():
			p.since = now
		case p.since.Before(before):
			found = append(found, s)
		}
	}
	return found
}

func (u *uploads) all() []session {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found []session
	for s := range u.open {
		found = append(found, s)
	}
	return found
}

// cancelUploads has olareg close and remove the files of uploads.
func (r *Registry) cancelUploads(sessions []session) {
	for _, s := range sessions {
		r.inner.ServeHTTP(newRecorder(), s.request(http.MethodDelete))
		r.uploads.end(s)
	}
}

// request addresses an upload at olareg.
func (s session) request(method string) *http.Request {
	return &http.Request{
		Method: method,
		URL:    &url.URL{Path: "/v2/" + s.repo + "/blobs/uploads/" + s.id},
		Header: http.Header{},
		Body:   http.NoBody,
	}
}

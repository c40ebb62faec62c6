// Package hostile puts a registry that misbehaves in front of a good one.
//
// A [Front] passes every request on but those that its [Attack] chooses, and
// answers these by a [Behaviour]: never, for ever, slowly, with lies, or with the
// way to somewhere else. It counts what a client lets it send, and refuses whoever
// has no password, so that credentials are on their way when a behaviour asks for
// them. [Elsewhere] is every other host: it keeps what reaches it.
package hostile

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Class is a kind of request, and a set of kinds.
type Class int

// The kinds of requests that clients of ours make.
const (
	Tag         Class = 1 << iota // HEAD or GET of a manifest by tag
	Manifest                      // GET of a manifest by digest
	Blob                          // GET of a blob
	Look                          // HEAD of anything by digest
	Begin                         // POST that begins an upload
	Send                          // PUT of a blob
	PutManifest                   // PUT of a manifest, by digest or tag
	Other                         // such as referrers

	// Bodies are the kinds whose answer has a body, Reads those that a reader
	// makes, Writes those that only a writer makes.
	Bodies = Manifest | Blob
	Reads  = Tag | Bodies
	Writes = Look | Begin | Send | PutManifest
	Every  = Reads | Writes
)

var classNames = map[Class]string{
	Tag: "tag", Manifest: "manifest", Blob: "blob", Look: "look", Begin: "begin", Send: "send", PutManifest: "put-manifest", Other: "other",
}

func (c Class) String() string { return classNames[c] }

// ClassOf tells what a request is for.
func ClassOf(req *http.Request) Class {
	blob, manifest := strings.Contains(req.URL.Path, "/blobs/"), strings.Contains(req.URL.Path, "/manifests/")
	byDigest := strings.Contains(req.URL.Path, "/sha256:")
	switch {
	case blob && req.Method == http.MethodPost:
		return Begin
	case blob && req.Method == http.MethodPut, blob && req.Method == http.MethodPatch:
		return Send
	case manifest && req.Method == http.MethodPut:
		return PutManifest
	case manifest && !byDigest:
		return Tag
	case byDigest && req.Method == http.MethodHead:
		return Look
	case manifest:
		return Manifest
	case blob:
		return Blob
	}
	return Other
}

// Attack says which requests are answered how.
type Attack struct {
	// On are the kinds of requests; 0 is none.
	On Class
	// In is the path of a repository, such as "acme/hello", or of one object below
	// it; "" is each.
	In string
	// After is how many of them are answered well first.
	After int
	// Only is how many are attacked then; 0 is all.
	Only int
	How  Behaviour
}

// Behaviour answers a request in the registry's place.
type Behaviour func(x Exchange)

// Exchange is one request and what there is to answer it with.
type Exchange struct {
	W     http.ResponseWriter
	Req   *http.Request
	Good  http.Handler
	Front *Front
	// N counts the attacked requests from 0.
	N int
}

// Front is a handler that misbehaves before a good one.
type Front struct {
	// User and Password are what every request must bring during an attack; "" is
	// nothing.
	User, Password string
	// Patience is how long a behaviour holds a client that does not give up
	// before it counts it as stuck.
	Patience time.Duration

	good  http.Handler
	wrote atomic.Int64
	stuck atomic.Int64

	mu     sync.Mutex
	attack Attack   // guarded by mu
	met    int      // requests that the attack chooses, guarded by mu
	hit    int      // and that were attacked, guarded by mu
	seen   []string // "METHOD /path RANGE", guarded by mu
}

// Wrap is for world.Options.Front.
func (f *Front) Wrap(good http.Handler) http.Handler {
	f.good = good
	return f
}

// Begin attacks from now on, and forgets what was counted.
func (f *Front) Begin(a Attack) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attack, f.met, f.hit, f.seen = a, 0, 0, nil
	f.wrote.Store(0)
	f.stuck.Store(0)
}

// Relent makes it a good registry, and returns what became of the attack.
func (f *Front) Relent() Toll {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attack.On = 0
	return Toll{Requests: f.seen, Hits: f.hit, Wrote: f.wrote.Load(), Stuck: f.stuck.Load()}
}

// Hits is how many requests were attacked so far.
func (f *Front) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

// Toll is what an attack came to.
type Toll struct {
	// Requests are all that were made meanwhile, Hits how many were attacked.
	Requests []string
	Hits     int
	// Wrote is how many bytes of attacked answers the client let through.
	Wrote int64
	// Stuck is how many requests the client did not give up.
	Stuck int64
}

func (f *Front) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if f.User != "" && f.attacking() {
		user, password, _ := req.BasicAuth()
		if user != f.User || password != f.Password {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
	}
	how, n := f.choose(req)
	if how == nil {
		f.good.ServeHTTP(w, req)
		return
	}
	how(Exchange{W: w, Req: req, Good: f.good, Front: f, N: n})
}

func (f *Front) attacking() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.attack.On != 0
}

func (f *Front) choose(req *http.Request) (Behaviour, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, strings.TrimSpace(req.Method+" "+req.URL.Path+" "+req.Header.Get("Range")))
	if f.attack.On&ClassOf(req) == 0 || f.attack.In != "" && !strings.HasPrefix(req.URL.Path, "/v2/"+f.attack.In) {
		return nil, 0
	}
	f.met++
	if f.met <= f.attack.After || f.attack.Only > 0 && f.hit >= f.attack.Only {
		return nil, 0
	}
	f.hit++
	return f.attack.How, f.hit - 1
}

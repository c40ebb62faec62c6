package hostile_test

import (
	"time"

	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world/hostile"
)

// row is one way to misbehave, and what a client must make of it.
type row struct {
	name string
	// on are the kinds of requests that can be answered so.
	on  hostile.Class
	how hostile.Behaviour
	// want are the reasons of which the client gives one; none if the answer does
	// no harm, so that the work is done in spite of it.
	want []reason.Code
	// limits are short where the client has to wait for them, and else those of
	// production: a busy machine must not turn another refusal into a too-slow.
	limits oci.Limits
}

// short are limits for rows that wait. An honest answer that is late on a busy
// machine is too slow as well, which is what these rows want.
var short = oci.Limits{
	MinRate: 4 << 10, RateWindow: 200 * time.Millisecond, HeaderTimeout: 200 * time.Millisecond,
	DialTimeout: 10 * time.Second, MaxRetryAfter: 10 * time.Millisecond,
}

// impatient only shortens the pauses that a registry asks for.
var impatient = oci.Limits{MaxRetryAfter: 10 * time.Millisecond}

func codes(c ...reason.Code) []reason.Code { return c }

var (
	slow        = codes(reason.TooSlow)
	unreachable = codes(reason.Unreachable)
	wrong       = codes(reason.DigestMismatch, reason.TooLarge)
	harmless    []reason.Code
)

// waiting: it lets the client wait.
var waiting = []row{
	{"says nothing", hostile.Every, hostile.Silent, slow, short},
	{"stalls in the header", hostile.Every, hostile.StallsInHeader, slow, short},
	{"sends a header byte by byte", hostile.Every, hostile.DripsHeader, slow, short},
	{"stalls in the body", hostile.Bodies, hostile.StallsInBody, slow, short},
	{"sends a body byte by byte", hostile.Bodies, hostile.DripsBody, slow, short},
	{"sends an error byte by byte", hostile.Bodies | hostile.Begin | hostile.PutManifest, hostile.DripsError, codes(reason.Unreachable, reason.TooSlow), short},
}

// endless: it never ends.
var endless = []row{
	{"a body without end", hostile.Bodies, hostile.EndlessBody, codes(reason.TooLarge), oci.Limits{}},
	{"chunks without end", hostile.Bodies, hostile.EndlessChunks, codes(reason.TooLarge), oci.Limits{}},
	{"a chunk header without end", hostile.Bodies, hostile.EndlessChunkExtension, unreachable, oci.Limits{}},
	{"a header line without end", hostile.Every, hostile.EndlessHeader, unreachable, oci.Limits{}},
	{"header lines without end", hostile.Every, hostile.EndlessHeaders, unreachable, oci.Limits{}},
	{"hints without end", hostile.Every, hostile.EndlessHints, unreachable, oci.Limits{}},
	{"an error without end", hostile.Bodies | hostile.Begin | hostile.PutManifest, hostile.EndlessError, unreachable, oci.Limits{}},
	{"redirects without end", hostile.Reads | hostile.Look, hostile.EndlessRedirects, unreachable, oci.Limits{}},
}

// lies: about lengths, types and content.
var lies = []row{
	{"longer than the descriptor", hostile.Bodies, hostile.Longer, wrong, oci.Limits{}},
	{"shorter than the descriptor", hostile.Bodies, hostile.Shorter, wrong, oci.Limits{}},
	{"a byte more", hostile.Bodies, hostile.OneMore, wrong, oci.Limits{}},
	{"a byte less", hostile.Bodies, hostile.OneLess, codes(reason.DigestMismatch, reason.Unreachable), oci.Limits{}},
	{"a longer Content-Length", hostile.Bodies, hostile.PromisesMore, codes(reason.TooLarge, reason.Unreachable), oci.Limits{}},
	{"a shorter Content-Length", hostile.Bodies, hostile.PromisesLess, wrong, oci.Limits{}},
	{"breaks off", hostile.Bodies, hostile.BreaksOff, unreachable, oci.Limits{}},
	{"other content", hostile.Bodies, hostile.OtherContent, wrong, oci.Limits{}},
	{"one bit", hostile.Bodies, hostile.OneBit, wrong, oci.Limits{}},
	{"nothing", hostile.Bodies, hostile.Empty, wrong, oci.Limits{}},
	{"calls it HTML", hostile.Bodies, hostile.SaysHTML, harmless, oci.Limits{}},
	{"calls it an index", hostile.Bodies, hostile.SaysIndex, harmless, oci.Limits{}},
	{"a page with 200", hostile.Bodies, hostile.Portal, wrong, oci.Limits{}},
	{"a gzip bomb", hostile.Bodies, hostile.Bomb, wrong, oci.Limits{}},
	{"gzip that nobody asked for", hostile.Bodies, hostile.Compressed, wrong, oci.Limits{}},
	{"a range that nobody asked for", hostile.Blob, hostile.Part, codes(reason.Malformed), oci.Limits{}},
	// The second may be taken for the answer to the next request, and the one after
	// that is not answered at all.
	{"two answers", hostile.Bodies, hostile.Twice, codes(done, reason.DigestMismatch, reason.TooLarge, reason.TooSlow, reason.Unreachable), oci.Limits{HeaderTimeout: 5 * time.Second}},
}

// answers: statuses.
var answers = []row{
	{"closes at once", hostile.Every, hostile.Closes, unreachable, oci.Limits{}},
	{"500 always", hostile.Every, hostile.Status(500), unreachable, oci.Limits{}},
	{"503 always", hostile.Every, hostile.Status(503), unreachable, impatient},
	{"204 always", hostile.Bodies, hostile.Status(204), unreachable, oci.Limits{}},
	{"429 for a year", hostile.Every, hostile.Busy("31536000"), unreachable, impatient},
	{"429 until a date", hostile.Every, hostile.Busy("Fri, 31 Dec 9999 23:59:59 GMT"), unreachable, impatient},
	{"429 since yesterday", hostile.Every, hostile.Busy("-86400"), unreachable, impatient},
	{"401 always", hostile.Every, hostile.Asks(`Basic realm="x"`), unreachable, oci.Limits{}},
	{"404 always", hostile.Reads, hostile.Status(404), unreachable, oci.Limits{}},
}

// elsewhere: it leads away from itself. A %s is the URL of another host that
// serves the right content.
func elsewhere(url string) []row {
	on := hostile.Reads | hostile.Look
	return []row{
		{"redirects to another host", hostile.Bodies, hostile.Redirects(url), harmless, oci.Limits{}},
		{"redirects to plain HTTP", on, hostile.Redirects("http://registry.example.test"), unreachable, oci.Limits{}},
		{"redirects to a file", on, hostile.Redirects("file:///etc"), unreachable, oci.Limits{}},
		{"redirects to FTP", on, hostile.Redirects("ftp://registry.example.test"), unreachable, oci.Limits{}},
		{"redirects to a link-local address", on, hostile.Redirects("https://169.254.169.254"), unreachable, oci.Limits{}},
		{"redirects to a mapped link-local address", on, hostile.Redirects("https://[::ffff:169.254.169.254]"), unreachable, oci.Limits{}},
		{"redirects to nowhere", on, hostile.RedirectsNowhere, unreachable, oci.Limits{}},
		{"asks for a token elsewhere", hostile.Every, hostile.Asks(`Bearer realm="` + url + `/token",service="x"`), unreachable, oci.Limits{}},
		{"asks for a token in plain HTTP", hostile.Every, hostile.Asks(`Bearer realm="http://tokens.example.test/token",service="x"`), unreachable, oci.Limits{}},
		{"asks for a token in a file", hostile.Every, hostile.Asks(`Bearer realm="file:///etc/passwd",service="x"`), unreachable, oci.Limits{}},
	}
}

// writes: it lies to a writer.
func writes(url string) []row {
	return []row{
		{"an upload elsewhere", hostile.Begin, hostile.Uploads(url + "/v2/upload"), unreachable, oci.Limits{}},
		{"an upload in plain HTTP", hostile.Begin, hostile.Uploads("http://registry.example.test/v2/upload"), unreachable, oci.Limits{}},
		{"an upload to a file", hostile.Begin, hostile.Uploads("file:///tmp/upload"), unreachable, oci.Limits{}},
		{"an upload without a place", hostile.Begin, hostile.Uploads(""), unreachable, oci.Limits{}},
		{"leads an upload elsewhere", hostile.Begin, hostile.Redirects(url), unreachable, oci.Limits{}},
		{"stores no blob", hostile.Send, hostile.Stored, codes(reason.Unreachable, reason.DigestMismatch, reason.Malformed), oci.Limits{}},
		{"stores no manifest", hostile.PutManifest, hostile.Stored, codes(reason.Unreachable, reason.Conflict), oci.Limits{}},
		{"tells another digest", hostile.PutManifest, hostile.StoredOther, codes(reason.DigestMismatch, reason.Unreachable), oci.Limits{}},
		{"claims to have everything", hostile.Look, hostile.SaysYes, codes(reason.Unreachable, reason.DigestMismatch, reason.Malformed), oci.Limits{}},
	}
}

// group is a story of several rows, after which the registry is good again.
type group struct {
	name string
	rows []row
}

func groups(url string) []group {
	return []group{
		{"waiting", waiting}, {"endless", endless}, {"lies", lies}, {"answers", answers}, {"elsewhere", elsewhere(url)}, {"writes", writes(url)},
	}
}

package hostile

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Longer answers with more than the right content, Shorter with less, under a
// length that fits.
func Longer(x Exchange)  { x.content(append(x.answer().Body.Bytes(), filler...)) }
func Shorter(x Exchange) { x.content(half(x.answer().Body.Bytes())) }

func half(b []byte) []byte { return b[:len(b)/2] }

// OneMore and OneLess are wrong by a byte and tell no length.
func OneMore(x Exchange) { x.untold(func(b []byte) []byte { return append(b, 'x') }) }
func OneLess(x Exchange) { x.untold(func(b []byte) []byte { return b[:len(b)-1] }) }

func (x Exchange) untold(edit func([]byte) []byte) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		chunked(c, good.Header().Get("Content-Type"), edit(good.Body.Bytes()))
		_, _ = io.WriteString(c, "0\r\n\r\n")
	})
}

// PromisesMore tells a greater length than it sends, PromisesLess a smaller one.
func PromisesMore(x Exchange) { x.promise(func(n int) int { return n + 1000 }) }
func PromisesLess(x Exchange) { x.promise(func(n int) int { return n - 1 }) }

// BreaksOff sends half of what it promises.
func BreaksOff(x Exchange) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		header(c, 200, good.Header().Get("Content-Type"), good.Body.Len())
		_, _ = c.Write(half(good.Body.Bytes()))
	})
}

func (x Exchange) promise(length func(int) int) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		header(c, 200, good.Header().Get("Content-Type"), length(good.Body.Len()))
		_, _ = c.Write(good.Body.Bytes())
	})
}

// OtherContent has the right length and nothing else of the content.
func OtherContent(x Exchange) { x.content(bytes.Repeat([]byte{'x'}, x.answer().Body.Len())) }

// OneBit flips one.
func OneBit(x Exchange) { x.content(flipped(x.answer().Body.Bytes())) }

// OneBitLater flips one in every second answer.
func OneBitLater(x Exchange) {
	if x.N%2 == 1 {
		OneBit(x)
		return
	}
	x.Good.ServeHTTP(x.W, x.Req)
}

func flipped(b []byte) []byte {
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return b
}

// Empty answers with nothing.
func Empty(x Exchange) { x.content(nil) }

// SaysHTML and SaysIndex give the right content a wrong type.
func SaysHTML(x Exchange)  { x.typed("text/html", x.answer().Body.Bytes()) }
func SaysIndex(x Exchange) { x.typed(ocispec.MediaTypeImageIndex, x.answer().Body.Bytes()) }

// Portal answers with a page, as a hotel does.
func Portal(x Exchange) {
	x.typed("text/html", []byte("<!DOCTYPE html><title>Welcome</title><p>Please sign in."))
}

// bomb is many times the same member of a gzip file.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range 32 << 20 / len(filler) {
		_, _ = z.Write(filler)
	}
	_ = z.Close()
	return bytes.Repeat(b.Bytes(), 32)
})

// Bomb is a gigabyte in a megabyte, declared as an encoding of the content.
func Bomb(x Exchange) { x.encoded(bomb()) }

// Compressed declares the right content compressed although nobody asked.
func Compressed(x Exchange) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(x.answer().Body.Bytes())
	_ = z.Close()
	x.encoded(b.Bytes())
}

func (x Exchange) encoded(data []byte) {
	x.W.Header().Set("Content-Encoding", "gzip")
	x.content(data)
}

// TellsDigest answers a question for a tag or digest with another digest.
func TellsDigest(d string) Behaviour {
	return func(x Exchange) {
		good := x.answer()
		x.W.Header().Set("Docker-Content-Digest", d)
		x.W.Header().Set("Content-Type", good.Header().Get("Content-Type"))
		x.W.Header().Set("Content-Length", good.Header().Get("Content-Length"))
		x.W.WriteHeader(good.Code)
	}
}

// Serves answers every question, by tag or digest, with one document.
func Serves(mediaType, digest string, data []byte) Behaviour {
	return func(x Exchange) {
		x.W.Header().Set("Docker-Content-Digest", digest)
		x.W.Header().Set("Content-Type", mediaType)
		if x.Req.Method == http.MethodHead {
			x.W.Header().Set("Content-Length", strconv.Itoa(len(data)))
			return
		}
		x.typed(mediaType, data)
	}
}

// SaysYes claims to have whatever it is asked for.
func SaysYes(x Exchange) {
	x.W.Header().Set("Docker-Content-Digest", x.Req.URL.Path[strings.LastIndex(x.Req.URL.Path, "/")+1:])
	x.W.WriteHeader(http.StatusOK)
}

// Stored says that something was stored, and throws it away.
func Stored(x Exchange) {
	_, _ = io.Copy(io.Discard, x.Req.Body)
	x.W.WriteHeader(http.StatusCreated)
}

// StoredOther stores, and tells another digest.
func StoredOther(x Exchange) {
	good := x.answer()
	x.W.Header().Set("Location", x.Req.URL.Path)
	x.W.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
	x.W.WriteHeader(good.Code)
}

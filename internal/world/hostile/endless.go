package hostile

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
)

var filler = bytes.Repeat([]byte("x"), 64<<10)

const chunk = "10000\r\n" // of filler

// EndlessBody sends a body without length and end.
func EndlessBody(x Exchange) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: "+good.Header().Get("Content-Type")+"\r\nConnection: close\r\n\r\n")
		_, _ = c.Write(good.Body.Bytes())
		x.flood(c, filler)
	})
}

// EndlessChunks sends the right content and then chunks without end.
func EndlessChunks(x Exchange) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		chunked(c, good.Header().Get("Content-Type"), good.Body.Bytes())
		x.flood(c, []byte(chunk+string(filler)+"\r\n"))
	})
}

// EndlessChunkExtension begins a chunk whose header does not end.
func EndlessChunkExtension(x Exchange) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		chunked(c, good.Header().Get("Content-Type"), nil)
		_, _ = io.WriteString(c, "1;")
		x.flood(c, filler)
	})
}

// EndlessTrailer sends the right content and then trailers without end.
func EndlessTrailer(x Exchange) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		chunked(c, good.Header().Get("Content-Type"), good.Body.Bytes())
		_, _ = io.WriteString(c, "0\r\n")
		x.flood(c, []byte("X-Filler: "+strings.Repeat("x", 1000)+"\r\n"))
	})
}

func chunked(c net.Conn, mediaType string, data []byte) {
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: "+mediaType+"\r\nTransfer-Encoding: chunked\r\n\r\n")
	for len(data) > 0 {
		n := min(len(data), len(filler))
		_, _ = io.WriteString(c, hex(n)+"\r\n")
		_, _ = c.Write(data[:n])
		_, _ = io.WriteString(c, "\r\n")
		data = data[n:]
	}
}

func hex(n int) string {
	const digits = "0123456789abcdef"
	if n < 16 {
		return digits[n : n+1]
	}
	return hex(n/16) + digits[n%16:n%16+1]
}

// EndlessHeader sends one line of a header without end.
func EndlessHeader(x Exchange) {
	x.raw(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Filler: ")
		x.flood(c, filler)
	})
}

// EndlessHeaders sends lines of a header without end.
func EndlessHeaders(x Exchange) {
	x.raw(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		x.flood(c, []byte("X-Filler: x\r\n"))
	})
}

// EndlessHints answers 103 again and again.
func EndlessHints(x Exchange) {
	x.raw(func(c net.Conn) { x.flood(c, []byte("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")) })
}

// EndlessError sends an error whose text does not end.
func EndlessError(x Exchange) {
	x.raw(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
		x.flood(c, filler)
	})
}

// EndlessRedirects leads around in a circle.
func EndlessRedirects(x Exchange) {
	http.Redirect(x.W, x.Req, x.Req.URL.Path, http.StatusTemporaryRedirect)
}

// EndlessToken answers with the beginning of a token.
func EndlessToken(x Exchange) {
	x.raw(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"token\":\"")
		x.flood(c, filler)
	})
}

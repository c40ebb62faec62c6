package hostile

import (
	"fmt"
	"io"
	"net"
	"time"
)

// pace is between two bytes of a slow answer: far below any rate, and often
// enough to look alive.
const pace = 20 * time.Millisecond

// Silent accepts the request and says nothing.
func Silent(x Exchange) { x.raw(x.hold) }

// Unread does not even read what is sent.
func Unread(x Exchange) {
	x.raw(func(c net.Conn) {
		time.Sleep(pace)
		x.hold(c)
	})
}

// StallsInHeader begins a header.
func StallsInHeader(x Exchange) {
	x.raw(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: appl")
		x.hold(c)
	})
}

// DripsHeader sends a header a byte at a time.
func DripsHeader(x Exchange) {
	x.raw(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		x.drip(c, "X-Filler: x\r\n", pace)
	})
}

// StallsInBody sends half of the right content.
func StallsInBody(x Exchange) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		body := good.Body.Bytes()
		header(c, 200, good.Header().Get("Content-Type"), len(body))
		_, _ = c.Write(body[:len(body)/2])
		x.hold(c)
	})
}

// DripsBody sends the right content a byte at a time.
func DripsBody(x Exchange) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		header(c, 200, good.Header().Get("Content-Type"), good.Body.Len())
		x.drip(c, good.Body.String(), pace)
	})
}

// DripsError sends an error whose text does not end.
func DripsError(x Exchange) {
	x.raw(func(c net.Conn) {
		header(c, 500, "application/json", 1<<20)
		x.drip(c, `{"errors":[{"code":"x","message":"x"}]}`, pace)
	})
}

func header(w io.Writer, status int, mediaType string, length int) {
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", status, mediaType, length)
}

// DripsToken sends a token a byte at a time.
func DripsToken(x Exchange) {
	x.raw(func(c net.Conn) {
		header(c, 200, "application/json", 1<<20)
		x.drip(c, `{"token":"`, pace)
	})
}

// Paced sends the right content, some bytes after each pause.
func Paced(pause time.Duration, size int) Behaviour {
	return func(x Exchange) {
		good := x.answer()
		x.raw(func(c net.Conn) {
			body := good.Body.Bytes()
			header(c, 200, good.Header().Get("Content-Type"), len(body))
			for ; len(body) > 0; body = body[min(size, len(body)):] {
				if _, err := c.Write(body[:min(size, len(body))]); err != nil {
					return
				}
				time.Sleep(pause)
			}
		})
	}
}

// Late does the same as another behaviour, later.
func Late(pause time.Duration, then Behaviour) Behaviour {
	return func(x Exchange) {
		time.Sleep(pause)
		then(x)
	}
}

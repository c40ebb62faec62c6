package hostile

import (
	"fmt"
	"net"
	"net/http"
)

// Status answers with a status and no more.
func Status(code int) Behaviour {
	return func(x Exchange) { x.W.WriteHeader(code) }
}

// Busy answers 429 and says when to come back.
func Busy(retryAfter string) Behaviour {
	return func(x Exchange) {
		x.W.Header().Set("Retry-After", retryAfter)
		x.W.WriteHeader(http.StatusTooManyRequests)
	}
}

// Closes ends the connection in place of an answer.
func Closes(x Exchange) { x.raw(func(net.Conn) {}) }

// Twice sends a second answer that nobody asked for on the same connection.
func Twice(x Exchange) {
	good := x.answer()
	x.raw(func(c net.Conn) {
		for range 2 {
			header(c, 200, good.Header().Get("Content-Type"), good.Body.Len())
			_, _ = c.Write(good.Body.Bytes())
		}
		x.hold(c)
	})
}

// Part answers with a byte range that nobody asked for.
func Part(x Exchange) {
	good := x.answer()
	data := half(good.Body.Bytes())
	x.W.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", len(data), 2*len(data), 2*len(data)+1))
	x.W.WriteHeader(http.StatusPartialContent)
	_, _ = x.W.Write(data)
}

// Asks demands credentials again and again: a challenge of RFC 9110 section
// 11.6.1, or what a registry sends.
func Asks(challenge string) Behaviour {
	return func(x Exchange) {
		x.W.Header().Set("WWW-Authenticate", challenge)
		x.W.WriteHeader(http.StatusUnauthorized)
	}
}

// Redirects leads to another place: to is a URL up to the path, which is added.
func Redirects(to string) Behaviour {
	return func(x Exchange) {
		x.W.Header().Set("Location", to+x.Req.URL.Path)
		x.W.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// RedirectsNowhere forgets to say where.
func RedirectsNowhere(x Exchange) { x.W.WriteHeader(http.StatusTemporaryRedirect) }

// Uploads begins an upload at another place; "" is none.
func Uploads(to string) Behaviour {
	return func(x Exchange) {
		if to != "" {
			x.W.Header().Set("Location", to)
		}
		x.W.WriteHeader(http.StatusAccepted)
	}
}

package strictjson

import (
	"encoding/json"
	"errors"
	"strings"
)

// errGrammar stands for every breach of the grammar (RFC 8259); encoding/json puts
// it into words, which says where it is.
var errGrammar = errors.New("is not JSON")

// space skips white space and returns the next byte, 0 at the end. A zero byte
// begins nothing.
func (w *walker) space() byte {
	for ; w.at < len(w.text); w.at++ {
		switch c := w.text[w.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take moves on over one byte, if it is the next.
func (w *walker) take(c byte) bool {
	if w.at == len(w.text) || w.text[w.at] != c {
		return false
	}
	w.at++
	return true
}

func (w *walker) literal(word string) error {
	if !strings.HasPrefix(w.text[w.at:], word) {
		return errGrammar
	}
	w.at += len(word)
	return nil
}

// quoted reads a string and returns it as it is written, between the quotes.
func (w *walker) quoted() (written string, escaped bool, err error) {
	if !w.take('"') {
		return "", false, errGrammar
	}
	begin := w.at
	for ; w.at < len(w.text); w.at++ {
		switch c := w.text[w.at]; {
		case c == '"':
			w.at++
			return w.text[begin : w.at-1], escaped, nil
		case c == '\\':
			escaped = true
			if err := w.escape(); err != nil {
				return "", false, err
			}
		case c < ' ':
			return "", false, errGrammar
		}
	}
	return "", false, errGrammar
}

// escape moves on to the last byte of an escape.
func (w *walker) escape() error {
	w.at++
	if w.at == len(w.text) {
		return errGrammar
	}
	switch w.text[w.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			w.at++
			if w.at == len(w.text) || !hexadecimal(w.text[w.at]) {
				return errGrammar
			}
		}
		return nil
	}
	return errGrammar
}

func hexadecimal(c byte) bool {
	return digit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// key reads the key of a member. Two that are written in two ways and mean the
// same are the same.
func (w *walker) key() (string, error) {
	written, escaped, err := w.quoted()
	if err != nil || !escaped {
		return written, err
	}
	var meant string
	err = json.Unmarshal([]byte(`"`+written+`"`), &meant)
	return meant, err
}

func (w *walker) number() error {
	w.take('-')
	if !w.take('0') && !w.digits() {
		return errGrammar
	}
	if w.take('.') && !w.digits() {
		return errGrammar
	}
	if w.take('e') || w.take('E') {
		_ = w.take('+') || w.take('-')
		if !w.digits() {
			return errGrammar
		}
	}
	return nil
}

func (w *walker) digits() bool {
	begin := w.at
	for w.at < len(w.text) && digit(w.text[w.at]) {
		w.at++
	}
	return w.at > begin
}

package oci

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/consign-dev/consign/internal/reason"
)

func TestVerifyReaderDeliversOnlyTheContent(t *testing.T) {
	data := content(1000, 1)
	flip := func(i int) []byte {
		other := bytes.Clone(data)
		other[i] ^= 1
		return other
	}
	for _, c := range []struct {
		name   string
		stream []byte
		size   int64
		want   reason.Code
	}{
		{"the content", data, 1000, ""},
		{"first byte differs", flip(0), 1000, reason.DigestMismatch},
		{"last byte differs", flip(999), 1000, reason.DigestMismatch},
		{"one byte short", data[:999], 1000, reason.DigestMismatch},
		{"nothing", nil, 1000, reason.DigestMismatch},
		{"one byte more", append(bytes.Clone(data), 0), 1000, reason.TooLarge},
		{"declared shorter", data, 999, reason.TooLarge},
		{"declared empty", data, 0, reason.TooLarge},
		{"declared negative", data, -1, reason.Malformed},
	} {
		for kind, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader,
			"half": iotest.HalfReader, "data with error": iotest.DataErrReader,
		} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				desc := describe(octets, data)
				desc.Size = c.size
				got, err := io.ReadAll(VerifyReader(wrap(bytes.NewReader(c.stream)), desc))
				if reason.Of(err) != c.want {
					t.Fatalf("error %v, want reason %q", err, c.want)
				}
				if c.want == "" && !bytes.Equal(got, data) {
					t.Error("other content came out")
				}
				if c.want != "" && int64(len(got)) >= max(c.size, 1) {
					t.Errorf("%d of %d bytes came out of a wrong stream", len(got), c.size)
				}
			})
		}
	}
}

func TestVerifyReaderOfEmptyContent(t *testing.T) {
	if _, err := ReadAll(bytes.NewReader(nil), describe(octets, nil), 0); err != nil {
		t.Error(err)
	}
	if _, err := ReadAll(bytes.NewReader([]byte{1}), describe(octets, nil), 0); !reason.Is(err, reason.TooLarge) {
		t.Errorf("surplus after empty content: %v", err)
	}
}

func TestVerifyReaderPassesErrorsOn(t *testing.T) {
	boom := errors.New("boom")
	data := content(100, 1)
	r := io.MultiReader(bytes.NewReader(data[:50]), iotest.ErrReader(boom))
	if _, err := io.ReadAll(VerifyReader(r, describe(octets, data))); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	r = io.MultiReader(bytes.NewReader(data), iotest.ErrReader(boom))
	if _, err := ReadAll(r, describe(octets, data), 100); !errors.Is(err, boom) {
		t.Errorf("an error in place of the end was taken for the end: %v", err)
	}
}

func TestReadAllChecksTheSizeBeforeItAllocates(t *testing.T) {
	desc := describe(octets, nil)
	desc.Size = 1 << 60
	if _, err := ReadAll(bytes.NewReader(nil), desc, 1<<20); !reason.Is(err, reason.TooLarge) {
		t.Errorf("got %v", err)
	}
}

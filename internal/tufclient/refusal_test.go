package tufclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

func TestEveryErrorOfGoTUFHasItsReason(t *testing.T) {
	for _, c := range []struct {
		err  error
		want reason.Code
	}{
		{&metadata.ErrExpiredMetadata{}, reason.Expired},
		{&metadata.ErrUnsignedMetadata{}, reason.Threshold},
		{&metadata.ErrBadVersionNumber{}, reason.Rollback},
		{&metadata.ErrEqualVersionNumber{}, reason.Rollback},
		{&metadata.ErrLengthOrHashMismatch{}, reason.DigestMismatch},
		{&metadata.ErrRepository{}, reason.Malformed},
		{&metadata.ErrValue{}, reason.Malformed},
		{&metadata.ErrType{}, reason.Malformed},
		{&metadata.ErrRuntime{}, reason.Internal},
		{&json.SyntaxError{}, reason.Malformed},
		{errors.New("from a library below"), reason.Malformed},
		{reason.New(reason.TooLarge, "ours"), reason.TooLarge},
		{fmt.Errorf("wrapped: %w", &metadata.ErrLengthOrHashMismatch{}), reason.DigestMismatch},
	} {
		if got := reason.Of(refuse("document", c.err)); got != c.want {
			t.Errorf("%T: %s, want %s", c.err, got, c.want)
		}
	}
}

func TestFileNamesAreReversible(t *testing.T) {
	for _, role := range []string{"deploy", "Deploy", "../x", "1.root", "%41", "ü", "a b"} {
		base := completeFile(role, 12)[len(completeDir)+1:]
		if got, version, ok := parseCompleteFile(base); !ok || got != role || version != 12 {
			t.Errorf("%q: %q, %d, %t", role, got, version, ok)
		}
	}
	for _, base := range []string{"", "x", "x.json", "0.x.json", "01.x.json", "+1.x.json", "1.X.json", "1.%61.json", "5.timestamp.json", "1.x.json.tmp", ".consign-00.tmp"} {
		if role, version, ok := parseCompleteFile(base); ok && base != "0.x.json" {
			t.Errorf("%q was taken for %q, %d", base, role, version)
		}
	}
}

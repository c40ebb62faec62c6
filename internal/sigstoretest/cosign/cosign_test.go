package cosign_test

import (
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/sigstoretest/cosign"
)

func TestWithoutTheProgramItSaysWhatToDo(t *testing.T) {
	for _, bin := range []string{"", t.TempDir()} {
		t.Setenv(cosign.Bin, bin)
		c, err := cosign.New(new(sigstoretest.Stack), t.TempDir())
		if err == nil {
			err = c.GenerateKey(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "make interop") {
			t.Errorf("%s=%q: %v", cosign.Bin, bin, err)
		}
	}
}

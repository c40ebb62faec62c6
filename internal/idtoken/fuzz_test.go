package idtoken_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/consign-dev/consign/internal/idtoken"
)

// FuzzToken: whatever a platform answers, or a variable holds, is a token of one
// form or an error that does not quote it.
func FuzzToken(f *testing.F) {
	for _, s := range []string{token, `{"value":"` + token + `"}`, `{"count":1,"value":null}`, `{"value":"a","value":"b"}`, "", "..", token + "\n" + token, `{"Value":"a.b.c"}`} {
		f.Add([]byte(s))
	}
	var answer atomic.Pointer[[]byte]
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*answer.Load()) }))
	f.Cleanup(platform.Close)
	github := env(map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": platform.URL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-of-the-job"})
	f.Fuzz(func(t *testing.T, data []byte) {
		answer.Store(&data)
		for _, s := range []idtoken.Source{{Env: github}, {Env: env(map[string]string{"SIGSTORE_ID_TOKEN": string(data)})}} {
			got, err := s.Token(t.Context(), "sigstore")
			switch {
			case err == nil && (strings.Count(got, ".") != 2 || strings.ContainsAny(got, " \n\"{")):
				t.Errorf("%q is taken for a token", got)
			case err != nil && got != "":
				t.Errorf("%q beside %v", got, err)
			case err != nil && len(data) > 200 && strings.Contains(err.Error(), string(data)):
				t.Errorf("the error quotes what may be a credential: %v", err)
			}
		}
	})
}

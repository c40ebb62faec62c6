package sigstoretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxReply bounds what an issuer may answer.
const maxReply = 1 << 20

// Issuer is an issuer's URL, which is the issuer that certificates name.
func (s *Stack) Issuer(i Issuer) string { return s.issuers + "/" + string(i) }

// Mint returns a token of an issuer, good for ten minutes, with the given claims.
// They are signed as they are: wrong ones are how a test gets a certificate for
// another job, or one that Fulcio refuses.
func (s *Stack) Mint(i Issuer, c Claims) (string, error) {
	return s.ask(i, "/mint", c)
}

// Job is what a job of GitHub Actions finds in its environment to get tokens for
// itself: the values of ACTIONS_ID_TOKEN_REQUEST_URL and
// ACTIONS_ID_TOKEN_REQUEST_TOKEN. The caller of that URL chooses the audience.
func (s *Stack) Job(c Claims) (requestURL, requestToken string, err error) {
	requestToken, err = s.ask(GitHub, "/jobs", c)
	return s.Issuer(GitHub) + "/mint?api-version=2.0", requestToken, err
}

func (s *Stack) ask(i Issuer, path string, c Claims) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Post(s.Issuer(i)+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s%s: %s: %s", s.Issuer(i), path, resp.Status, strings.TrimSpace(string(answer)))
	}
	var reply struct{ Value string }
	err = json.Unmarshal(answer, &reply)
	return reply.Value, err
}

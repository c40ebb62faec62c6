package oci

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"oras.land/oras-go/v2/registry/remote/retry"
)

// Retries are few: an agent tries again at its next poll and a person at the
// keyboard should learn soon. Only answers are retried, not transport errors,
// which net/http repeats itself where that is safe.
const (
	maxRetries   = 3
	firstBackoff = 250 * time.Millisecond
)

func retryPolicy(limit time.Duration) retry.Policy {
	return &retry.GenericPolicy{
		Retryable: func(resp *http.Response, err error) (bool, error) {
			return err == nil && retryable(resp.StatusCode), err
		},
		Backoff:  backoff,
		MaxWait:  limit,
		MaxRetry: maxRetries,
	}
}

func retryable(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// backoff follows Retry-After in seconds (RFC 9110 section 10.2.3); a date
// there would need a clock and gets the ordinary backoff. The policy caps it.
func backoff(attempt int, resp *http.Response) time.Duration {
	if s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		return time.Duration(s) * time.Second
	}
	wait := firstBackoff << attempt
	return wait + rand.N(wait/4) // devices that failed together come back apart
}

package sign_test

import (
	"testing"
	"time"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/sign"
)

// signingConfig names one service of each kind.
const signingConfig = `{
  "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
  "caUrls": [{"url": "https://fulcio.example", "majorApiVersion": 1, "validFor": {"start": "2026-01-01T00:00:00Z"}, "operator": "example"}],
  "rekorTlogUrls": [{"url": "https://rekor.example", "majorApiVersion": 2, "validFor": {"start": "2026-01-01T00:00:00Z"}, "operator": "example"}],
  "rekorTlogConfig": {"selector": "ANY"},
  "tsaUrls": [{"url": "https://tsa.example", "majorApiVersion": 1, "validFor": {"start": "2026-01-01T00:00:00Z"}, "operator": "example"}],
  "tsaConfig": {"selector": "ANY"}
}`

var then = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func TestParseSigningConfig(t *testing.T) {
	if _, err := sign.ParseSigningConfig([]byte(signingConfig), then); err != nil {
		t.Error(err)
	}
	if _, err := sign.ParseSigningConfig([]byte(signingConfig), then.AddDate(-1, 0, 0)); !reason.Is(err, reason.Malformed) {
		t.Errorf("before any service was in use: %v", err)
	}
}

func FuzzParseSigningConfig(f *testing.F) {
	f.Add([]byte(signingConfig))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := sign.ParseSigningConfig(data, then); err != nil && !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge) {
			t.Errorf("reason %s: %v", reason.Of(err), err)
		}
	})
}

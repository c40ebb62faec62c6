package channel_test

import (
	"testing"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
)

func TestAppRepository(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"127.0.0.1:5000/acme/releases", "line-monitor"}:   "127.0.0.1:5000/acme/line-monitor",
		{"registry.example.com/releases", "app"}:           "registry.example.com/app",
		{"registry.example.com/acme/releases", "releases"}: "",
		{"registry.example.com", "app"}:                    "",
		{"registry.example.com/acme/releases", "-app"}:     "",
		{"registry.example.com/acme/releases", ""}:         "",
		{"registry.example.com/acme/", "app"}:              "",
	} {
		got, err := channel.AppRepository(in[0], in[1])
		if got != want || (want == "") != reason.Is(err, reason.Malformed) {
			t.Errorf("%v: %q %v, want %q", in, got, err, want)
		}
	}
}

package agent

import (
	"slices"
	"testing"
)

// No application is given what commands the engine or the cluster.
func TestWhatCommandsTheMachineIsReserved(t *testing.T) {
	got := Config{StateDir: "/s", SecretsDir: "/t", Engine: "unix:///e", Kubeconfig: "/k"}.reserved()
	if want := []string{"/s", "/t", "/e", "/k"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

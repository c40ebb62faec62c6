package attacks

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/world"
)

// program is the agent as it is installed, beside an applier that only records.
func (s *site) program() string {
	s.T.Helper()
	dir := filepath.Join(s.Dir, "installed")
	s.Must(os.MkdirAll(dir, 0o700))
	for from, name := range map[string]string{filepath.Join(world.Programs(s.T), "agent"): "agent", filepath.Join(s.D.Programs, "applier-compose"): "applier-compose"} {
		data, err := os.ReadFile(from)
		s.Must(err)
		s.Must(os.WriteFile(filepath.Join(dir, name), data, 0o700))
	}
	return filepath.Join(dir, "agent")
}

// configuration writes the device's configuration into a directory of its own.
func (s *site) configuration() string {
	s.T.Helper()
	dir := filepath.Join(s.Dir, "etc")
	s.Must(os.MkdirAll(dir, 0o755))
	path, c := filepath.Join(dir, "agent.yaml"), s.D.Config
	s.Must(os.WriteFile(path, []byte("stateDir: "+c.StateDir+"\nengine: "+c.Engine+"\nregistryAddress: "+c.RegistryAddress+
		"\ndockerConfig: "+c.DockerConfig+"\nsecretsDir: "+c.SecretsDir+"\n"), 0o644))
	return path
}

// TestAttackD13Environment: variables that steer Docker, Compose, Go, systemd and
// our own tests name another engine, other credentials, other programs. The
// agent does what it does without them.
func TestAttackD13Environment(t *testing.T) {
	s := fresh(t)
	evil := filepath.Join(s.Dir, "evil")
	s.Must(os.MkdirAll(filepath.Join(evil, ".docker"), 0o755))
	touched := filepath.Join(evil, "touched")
	for _, name := range []string{"applier-compose", "docker", "docker-credential-evil", "agent"} {
		s.Must(os.WriteFile(filepath.Join(evil, name), []byte("#!/bin/sh\ntouch "+touched+"\nexit 1\n"), 0o755))
	}
	s.Must(os.WriteFile(filepath.Join(evil, ".docker", "config.json"), []byte(`{"credsStore":"evil"}`), 0o644))
	l, err := net.Listen("unix", filepath.Join(evil, "engine.sock"))
	s.Must(err)
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = os.WriteFile(touched, nil, 0o600)
			_ = c.Close()
		}
	}()
	cmd := exec.Command(s.program(), "sync", "--config", s.configuration())
	cmd.Env = []string{
		"PATH=" + evil, "HOME=" + evil, "DOCKER_HOST=unix://" + filepath.Join(evil, "engine.sock"), "DOCKER_CONFIG=" + filepath.Join(evil, ".docker"), "DOCKER_CONTEXT=evil",
		"CONSIGN_BIN=" + evil, "CONSIGN_CACHE=" + evil, "CONSIGN_FAULT=*", "CONSIGN_STATE_DIR=" + evil, "CONSIGN_CONFIG=" + filepath.Join(evil, "agent.yaml"),
		"COMPOSE_FILE=" + filepath.Join(evil, "x.yaml"), "COMPOSE_PROFILES=*", "COMPOSE_PROJECT_NAME=evil", "GREETING=evil", "PORT=22",
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1", "ALL_PROXY=http://127.0.0.1:1", "SSL_CERT_FILE=" + filepath.Join(evil, "ca.pem"), "SSL_CERT_DIR=" + evil,
		"LD_PRELOAD=" + filepath.Join(evil, "x.so"), "GODEBUG=netdns=cgo", "LISTEN_FDS=1", "LISTEN_PID=1", "NOTIFY_SOCKET=" + filepath.Join(evil, "engine.sock"),
	}
	s.Deploy(device, "1.1.0", map[string]string{"greeting": "signed", "port": "8080"})
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(touched); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something of the attacker's was used: %v", err)
	}
	runs := strings.Join(s.D.Runs(), "\n")
	if strings.Contains(runs, "evil") || strings.Contains(runs, `"published":"22"`) || !strings.Contains(runs, `"published":"8080"`) {
		t.Errorf("what runs is %s", runs)
	}
	s.Recovers(t)
}

// TestAttackD13ConfigurationOfOthers: a configuration that a local user could
// have written, and a state directory that he could have filled, are refused.
func TestAttackD13ConfigurationOfOthers(t *testing.T) {
	s := fresh(t)
	program, path := s.program(), s.configuration()
	s.Deploy(device, "1.1.0", map[string]string{"greeting": "signed"})
	runs, journal := s.D.Runs(), len(s.D.Journal())
	for name, at := range map[string]string{"file": path, "directory": filepath.Dir(path), "state directory": s.D.Config.StateDir, "identity": filepath.Join(s.D.Config.StateDir, "device.json")} {
		info, err := os.Stat(at)
		s.Must(err)
		s.Must(os.Chmod(at, info.Mode().Perm()|0o002))
		out, err := exec.Command(program, "sync", "--config", path).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "others can change it") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		s.Must(os.Chmod(at, info.Mode().Perm()))
	}
	s.Untouched(t, runs, journal)
	if _, err := agent.LoadConfig(path); err != nil {
		t.Error(err)
	}
	s.Recovers(t)
}

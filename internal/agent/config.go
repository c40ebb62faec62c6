package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// DefaultConfigFile is read when no other file is named; it need not exist.
const DefaultConfigFile = "/etc/consign/agent.yaml"

// Config is the agent's configuration file. It holds how this machine is
// wired, never what it trusts: trust comes from the pinned root alone.
type Config struct {
	// StateDir is the state directory; absolute.
	StateDir string `yaml:"stateDir"`
	// Engine is the address of the Docker engine, unix:///path, or "" on a machine
	// that has none. DOCKER_HOST and Docker contexts are ignored.
	Engine string `yaml:"engine"`
	// Kubeconfig is the file that says where the Kubernetes of this machine is and who
	// the agent is there; absolute, "" for none. KUBECONFIG is ignored.
	Kubeconfig string `yaml:"kubeconfig"`
	// RegistryAddress is where the agent serves verified content to the engine.
	// It is part of every container's image name, so changing it restarts them.
	RegistryAddress string `yaml:"registryAddress"`
	// PollInterval is the time between two cycles of "agent run", as a Go
	// duration; each wait is varied by up to a tenth so that a site does not
	// poll in step.
	PollInterval string `yaml:"pollInterval"`
	// ObserveInterval is the time between two looks at what runs, as a Go duration.
	ObserveInterval string `yaml:"observeInterval"`
	// ApplyWindow is when the machine may be changed by new orders; what is ordered
	// is verified and fetched at any time.
	ApplyWindow Window `yaml:"applyWindow"`
	// RequireApproval makes new orders wait for "agent approve" on this device.
	RequireApproval bool `yaml:"requireApproval"`
	// CAFile is a PEM file of further certificate authorities for registries.
	CAFile string `yaml:"caFile"`
	// DockerConfig is a Docker config.json with registry credentials; empty means
	// the usual place in the home directory of the agent's user, if it is there.
	DockerConfig string `yaml:"dockerConfig"`
	// SecretsDir is the directory of this device's secrets, one file for each, mode
	// 0600, owned by the agent's user; absolute.
	SecretsDir string `yaml:"secretsDir"`
	// Capabilities is a Margo DeviceCapabilities JSON file, matched against the
	// device constraints of packages.
	Capabilities string `yaml:"capabilities"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		StateDir:        "/var/lib/consign/agent",
		Engine:          "unix:///var/run/docker.sock",
		RegistryAddress: "127.0.0.1:5127",
		PollInterval:    "5m",
		ObserveInterval: "1m",
		SecretsDir:      "/etc/consign/secrets",
	}
}

// reserved are the paths of this machine that no application may be given: the
// state and log that tell it what to trust, its secrets, and what lets it command
// the engine or the cluster.
func (c Config) reserved() []string {
	paths := []string{c.StateDir, c.SecretsDir}
	if socket, ok := strings.CutPrefix(c.Engine, "unix://"); ok {
		paths = append(paths, socket)
	}
	if c.Kubeconfig != "" {
		paths = append(paths, c.Kubeconfig)
	}
	return paths
}

// LoadConfig reads path over the defaults. An empty path means
// [DefaultConfigFile], which may be absent; a named file must exist. One that
// others than root and this program's user can change is refused: it says which
// state directory, and so which root, is obeyed.
func LoadConfig(path string) (Config, error) {
	c := DefaultConfig()
	named := path != ""
	if !named {
		path = DefaultConfigFile
	}
	data, err := readOurs(path, int64(strictyaml.Default.Bytes))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return c, nil
	case err != nil:
		return c, fmt.Errorf("read configuration: %w", err)
	}
	if c, err = parseConfig(data); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// parseConfig reads a document over the defaults.
func parseConfig(data []byte) (Config, error) {
	c := DefaultConfig()
	if err := strictyaml.Unmarshal(data, &c, strictyaml.Default); err != nil {
		return c, err
	}
	return c, c.validate()
}

func (c Config) validate() error {
	if !filepath.IsAbs(c.StateDir) {
		return fmt.Errorf("stateDir: %q is not an absolute path", c.StateDir)
	}
	if !filepath.IsAbs(c.SecretsDir) {
		return fmt.Errorf("secretsDir: %q is not an absolute path", c.SecretsDir)
	}
	if err := c.validateEngines(); err != nil {
		return err
	}
	if err := checkLoopback(c.RegistryAddress); err != nil {
		return fmt.Errorf("registryAddress: %w", err)
	}
	for name, text := range map[string]string{"pollInterval": c.PollInterval, "observeInterval": c.ObserveInterval} {
		if d, err := time.ParseDuration(text); err != nil || d < time.Second {
			return fmt.Errorf("%s: %q is not a duration of at least 1s, such as 5m", name, text)
		}
	}
	if err := c.ApplyWindow.validate(); err != nil {
		return fmt.Errorf("applyWindow.%w", err)
	}
	return nil
}

// ProfileTypes are the types of profiles that this machine applies, in Margo's
// words: what its operator enrols it with.
func (c Config) ProfileTypes() []string {
	var types []string
	if c.Engine != "" {
		types = append(types, margo.TypeCompose)
	}
	if c.Kubeconfig != "" {
		types = append(types, margo.TypeHelm)
	}
	return types
}

func (c Config) validateEngines() error {
	if c.Kubeconfig != "" && !filepath.IsAbs(c.Kubeconfig) {
		return fmt.Errorf("kubeconfig: %q is not an absolute path", c.Kubeconfig)
	}
	if c.Engine == "" {
		if c.Kubeconfig == "" {
			return errors.New("engine: empty, and there is no kubeconfig: one of them is needed")
		}
		return nil
	}
	u, err := url.Parse(c.Engine)
	if err != nil || u.Scheme != "unix" || !filepath.IsAbs(u.Path) {
		return fmt.Errorf("engine: %q is not unix:///absolute/path; the engine is reached by its local socket only", c.Engine)
	}
	return nil
}

func checkLoopback(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port: %w", address, err)
	}
	ip := net.ParseIP(host)
	n, err := strconv.ParseUint(port, 10, 16)
	if ip == nil || !ip.Equal(net.IPv4(127, 0, 0, 1)) || err != nil || n == 0 {
		return fmt.Errorf("%q is not 127.0.0.1 and a port: engines take a loopback address as plain HTTP, and no one else may reach this registry", address)
	}
	return nil
}

// registryPort is the port of a validated RegistryAddress.
func (c Config) registryPort() int {
	_, port, _ := net.SplitHostPort(c.RegistryAddress)
	n, _ := strconv.Atoi(port)
	return n
}

package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// network is the second byte of a cluster's address range 10.N.0.0/16: the host
// is 10.N.0.1, the node 10.N.0.2, pods are in 10.N.64.0/18 and services in
// 10.N.128.0/17.
type network byte

// Ranges of clusters: 10.180.0.0/16 to 10.211.0.0/16, below those of engines.
const (
	firstNetwork = 180
	networks     = 32
)

func (n network) String() string   { return strconv.Itoa(int(n)) }
func (n network) host() string     { return fmt.Sprintf("10.%d.0.1", n) }
func (n network) node() string     { return fmt.Sprintf("10.%d.0.2", n) }
func (n network) pods() string     { return fmt.Sprintf("10.%d.64.0/18", n) }
func (n network) services() string { return fmt.Sprintf("10.%d.128.0/17", n) }

// apiService is the address of the service "kubernetes": the first one.
func (n network) apiService() string { return fmt.Sprintf("10.%d.128.1", n) }

// freeNetwork finds a range that no interface and no route of the machine overlaps.
// Where the search begins depends on the cluster.
func freeNetwork(id string) (network, error) {
	used, err := interfacePrefixes()
	if err != nil {
		return 0, err
	}
	routes, err := routePrefixes()
	if err != nil {
		return 0, err
	}
	start := int(crc32.ChecksumIEEE([]byte(id)) % networks)
	for i := range networks {
		n := network(firstNetwork + (start+i)%networks)
		if !overlaps(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 0}), 16), append(used, routes...)) {
			return n, nil
		}
	}
	return 0, errors.New("no free address range between 10.180.0.0 and 10.211.255.255 for a cluster")
}

// routePrefixes lists where the machine has routes to, but for the default route.
func routePrefixes() ([]netip.Prefix, error) {
	raw, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, line := range strings.Split(string(raw), "\n")[1:] {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		// Both are in hexadecimal, the last byte of the address first.
		to, err := strconv.ParseUint(fields[1], 16, 32)
		mask, maskErr := strconv.ParseUint(fields[7], 16, 32)
		if err := errors.Join(err, maskErr); err != nil {
			return nil, fmt.Errorf("/proc/net/route: %w", err)
		}
		bits := 0
		for ; mask != 0; mask &= mask - 1 {
			bits++
		}
		if bits > 0 {
			out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(to), byte(to >> 8), byte(to >> 16), byte(to >> 24)}), bits))
		}
	}
	return out, nil
}

// connect joins the machine and the node. All of it goes with the node's network
// namespace. Nothing gets out to the machine's own networks by it: the node has no
// route to them.
func (c *cluster) connect(n *node, network network) error {
	pid := strconv.Itoa(n.cmd.Process.Pid)
	return ip(
		"link add "+c.veth()+" type veth peer name eth0 netns "+pid,
		"address add "+network.host()+"/24 dev "+c.veth(),
		"link set "+c.veth()+" up",
		"route add "+network.pods()+" via "+network.node(),
		"route add "+network.services()+" via "+network.node(),
	)
}

// connectNode is the node's part of connect, in its namespace.
func connectNode(network network) error {
	return errors.Join(
		ip(
			"link set lo up",
			"address add "+network.node()+"/24 dev eth0",
			"link set eth0 up",
			// The packet filter sends it elsewhere, but only after a route was found.
			"route add "+network.services()+" dev eth0",
		),
		os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644),
	)
}

// ip runs commands of the program ip, up to the first that fails.
func ip(commands ...string) error {
	for _, command := range commands {
		if out, err := exec.Command(find("ip"), strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", command, err, out)
		}
	}
	return nil
}

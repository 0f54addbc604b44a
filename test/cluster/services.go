package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// dnsIP answers names of services. It is below the addresses that the API server gives
// away by itself.
const (
	dnsIP         = "10.96.0.10"
	clusterDomain = "cluster.local"
	lookEvery     = time.Second // well under what a webhook waits
)

// service is one as the API server tells of it.
type service struct {
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		ClusterIP string
		Ports     []servicePort
	}
}

type servicePort struct {
	Name, Protocol string
	Port           int
}

// slice is where one of a service's sets of pods is reached.
type slice struct {
	Metadata struct {
		Namespace string
		Labels    map[string]string
	}
	Ports []struct {
		Name, Protocol string
		Port           int
	}
	Endpoints []struct {
		Addresses  []string
		Conditions struct{ Ready *bool }
	}
}

// has reports whether the service has an address of its own.
func (s *service) has() bool {
	ip, err := netip.ParseAddr(s.Spec.ClusterIP)
	return err == nil && ip.Is4() && s.Spec.ClusterIP != serviceIP
}

func (s *slice) of(v *service) bool {
	return s.Metadata.Namespace == v.Metadata.Namespace && s.Metadata.Labels["kubernetes.io/service-name"] == v.Metadata.Name
}

// backend is the first ready pod behind a port of a service, "" without one.
func backend(v *service, p servicePort, behind []slice) string {
	for i := range behind {
		s := &behind[i]
		if !s.of(v) {
			continue
		}
		for _, port := range s.Ports {
			if port.Name != p.Name || port.Protocol != p.Protocol {
				continue
			}
			for _, e := range s.Endpoints {
				if len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
					return fmt.Sprintf("%s:%d", e.Addresses[0], port.Port)
				}
			}
		}
	}
	return ""
}

// chain is where the rules of services are. iptables-restore empties it first.
const chain = "SPILLWAY-SERVICES"

// rulesOf sends what goes to the address of a service to one of its pods.
func rulesOf(all []service, behind []slice) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n", chain)
	for i := range all {
		if !all[i].has() {
			continue
		}
		for _, p := range all[i].Spec.Ports {
			if to := backend(&all[i], p, behind); to != "" && (p.Protocol == "TCP" || p.Protocol == "UDP") {
				kind := strings.ToLower(p.Protocol)
				fmt.Fprintf(&b, "-A %s -d %s/32 -p %s -m %s --dport %d -j DNAT --to-destination %s\n", chain, all[i].Spec.ClusterIP, kind, kind, p.Port, to)
			}
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// namesOf are the names of services with their addresses.
func namesOf(all []service) map[string]netip.Addr {
	names := map[string]netip.Addr{}
	for i := range all {
		if ip, err := netip.ParseAddr(all[i].Spec.ClusterIP); err == nil && ip.Is4() {
			names[all[i].Metadata.Name+"."+all[i].Metadata.Namespace+".svc."+clusterDomain] = ip
		}
	}
	return names
}

// services makes services work: by address, and by name. It looks every second, which is
// simpler than a proxy that is told, and enough for one node.
func (b *boot) services() error {
	for _, line := range [][]string{
		{"ip", "address", "add", dnsIP + "/32", "dev", "node0"},
		{"ip", "route", "add", serviceRange, "dev", "node0", "src", nodeIP},
		{"iptables", "-w", "-t", "nat", "-N", chain},
		{"iptables", "-w", "-t", "nat", "-A", "PREROUTING", "-j", chain},
		{"iptables", "-w", "-t", "nat", "-A", "OUTPUT", "-j", chain},
		// A pod's answer to another would not come back this way, by which it is theirs.
		{"iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", podRange, "-d", podRange, "-m", "conntrack", "--ctstate", "DNAT", "-j", "MASQUERADE"},
	} {
		if err := b.procs.run(b.path("log", "network.log"), line...); err != nil {
			return err
		}
	}
	conn, err := net.ListenPacket("udp", net.JoinHostPort(dnsIP, "53"))
	if err != nil {
		return err
	}
	names := &atomic.Pointer[map[string]netip.Addr]{}
	names.Store(&map[string]netip.Addr{})
	go serveNames(conn, names)
	go b.keepServices(names)
	return nil
}

func (b *boot) keepServices(names *atomic.Pointer[map[string]netip.Addr]) {
	log, file := b.path("log", "network.log"), b.path("services.rules")
	for ; ; time.Sleep(lookEvery) {
		var all struct{ Items []service }
		var behind struct{ Items []slice }
		if b.ask("/api/v1/services?resourceVersion=0", &all) != nil || b.ask("/apis/discovery.k8s.io/v1/endpointslices?resourceVersion=0", &behind) != nil {
			continue // the API server is away, and its services stay
		}
		found := namesOf(all.Items)
		names.Store(&found)
		rules := []byte(rulesOf(all.Items, behind.Items))
		if before, err := os.ReadFile(file); err == nil && bytes.Equal(before, rules) {
			continue
		}
		err := os.WriteFile(file, rules, 0o644)
		if err == nil {
			err = b.procs.run(log, "iptables-restore", "-w", "--noflush", file)
		}
		if err != nil {
			_ = os.Remove(file) // so that it is tried again
			fmt.Fprintln(os.Stderr, time.Now().UTC().Format(time.RFC3339), "services:", err)
		}
	}
}

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestRulesOfServices(t *testing.T) {
	var all []service
	var behind []slice
	for text, into := range map[string]any{
		`[{"metadata": {"name": "kubernetes", "namespace": "default"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443, "protocol": "TCP"}]}},
		  {"metadata": {"name": "hook", "namespace": "a"}, "spec": {"clusterIP": "10.96.0.40", "ports": [{"name": "tls", "port": 443, "protocol": "TCP"}, {"name": "none", "port": 9, "protocol": "TCP"}]}},
		  {"metadata": {"name": "hook", "namespace": "b"}, "spec": {"clusterIP": "10.96.0.41", "ports": [{"name": "tls", "port": 443, "protocol": "TCP"}]}},
		  {"metadata": {"name": "headless", "namespace": "a"}, "spec": {"clusterIP": "None", "ports": [{"port": 80, "protocol": "TCP"}]}},
		  {"metadata": {"name": "odd", "namespace": "a"}, "spec": {"clusterIP": "10.96.0.42", "ports": [{"port": 80, "protocol": "SCTP"}]}}]`: &all,
		`[{"metadata": {"namespace": "a", "labels": {"kubernetes.io/service-name": "hook"}}, "ports": [{"name": "tls", "port": 9443, "protocol": "TCP"}],
		   "endpoints": [{"addresses": ["10.244.0.2"], "conditions": {"ready": false}}, {"addresses": ["10.244.0.3"], "conditions": {"ready": true}}]},
		  {"metadata": {"namespace": "a", "labels": {"kubernetes.io/service-name": "odd"}}, "ports": [{"port": 80, "protocol": "SCTP"}], "endpoints": [{"addresses": ["10.244.0.4"]}]},
		  {"metadata": {"namespace": "a", "labels": {"kubernetes.io/service-name": "kubernetes"}}, "ports": [{"port": 443, "protocol": "TCP"}], "endpoints": [{"addresses": ["10.244.0.9"]}]}]`: &behind,
	} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	want := "*nat\n:SPILLWAY-SERVICES - [0:0]\n-A SPILLWAY-SERVICES -d 10.96.0.40/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.244.0.3:9443\nCOMMIT\n"
	if got := rulesOf(all, behind); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	names := namesOf(all)
	if len(names) != 4 || names["hook.b.svc.cluster.local"].String() != "10.96.0.41" || names["kubernetes.default.svc.cluster.local"].String() != serviceIP {
		t.Errorf("%v", names)
	}
}

// TestNames has Go's own resolver ask.
func TestNames(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	names := &atomic.Pointer[map[string]netip.Addr]{}
	names.Store(&map[string]netip.Addr{"hook.a.svc.cluster.local": netip.MustParseAddr("10.96.0.40")})
	go serveNames(conn, names)
	resolver := net.Resolver{PreferGo: true, StrictErrors: true}
	var dialer net.Dialer
	resolver.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "udp", conn.LocalAddr().String())
	}
	if got, err := resolver.LookupHost(t.Context(), "Hook.a.svc.cluster.local."); err != nil || len(got) != 1 || got[0] != "10.96.0.40" {
		t.Errorf("%v, %v", got, err)
	}
	_, err = resolver.LookupHost(t.Context(), "example.com.")
	if asked, ok := err.(*net.DNSError); !ok || !asked.IsNotFound {
		t.Errorf("a name outside: %v", err)
	}
}

func FuzzNames(f *testing.F) {
	query := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04hook\x01a\x00\x00\x01\x00\x01")
	f.Add(query)
	f.Add(query[:15])
	names := map[string]netip.Addr{"hook.a": netip.MustParseAddr("10.96.0.40")}
	f.Fuzz(func(t *testing.T, query []byte) {
		reply := replyTo(query, names)
		if reply == nil {
			return
		}
		var told dnsmessage.Message
		if err := told.Unpack(reply); err != nil {
			t.Fatalf("%x is answered %x: %v", query, reply, err)
		}
		if told.ID != binary.BigEndian.Uint16(query) || !told.Response || len(told.Questions) != 1 {
			t.Errorf("%x is answered %x", query, reply)
		}
		_, known := names[strings.ToLower(strings.TrimSuffix(told.Questions[0].Name.String(), "."))]
		if known == (told.RCode == dnsmessage.RCodeNameError) || !known && len(told.Answers) > 0 {
			t.Errorf("of %s there is %+v", told.Questions[0].Name, told)
		}
	})
}

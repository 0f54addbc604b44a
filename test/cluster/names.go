package main

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"
)

// serveNames answers as long as the cluster is up.
func serveNames(conn net.PacketConn, names *atomic.Pointer[map[string]netip.Addr]) {
	buffer := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if reply := replyTo(buffer[:n], *names.Load()); reply != nil {
			_, _ = conn.WriteTo(reply, from) // who gets no answer asks again
		}
	}
}

// replyTo answers a question for an address: of names that are not there it says so, and
// of other kinds of records that there are none. It is nil for what is no such question.
func replyTo(query []byte, names map[string]netip.Addr) []byte {
	var p dnsmessage.Parser
	asked, err := p.Start(query)
	if err != nil || asked.Response || asked.OpCode != 0 {
		return nil
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return nil
	}
	q := questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: asked.ID, Response: true, Authoritative: true, RecursionDesired: asked.RecursionDesired},
		Questions: questions,
	}
	switch ip, known := names[strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))]; {
	case !known:
		reply.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.AResource{A: ip.As4()},
		}}
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

package agent

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// Readiness is asked for by connecting: often at first, when most functions that
// start fast become ready.
const (
	firstProbe = 200 * time.Microsecond
	lastProbe  = 10 * time.Millisecond
	// probeWithin bounds one probe: the kernel would wait minutes for room in the queue
	// of a function that does not accept yet.
	probeWithin = time.Second
)

// notReady says what was awaited in vain.
func (i *Instance) notReady() string {
	if i.web != nil {
		return fmt.Sprintf("nothing accepted connections on 127.0.0.1:%d, its PORT,", i.web.port)
	}
	return "no request for work"
}

// launchWeb starts a web function, and a goroutine that waits until it is ready.
func (i *Instance) launchWeb() error {
	port, err := ports.take()
	if err != nil {
		return fmt.Errorf("choose a port for %s: %w", i.config.Name, err)
	}
	if err := i.launchProcess(i.config.webEnvironment(port)); err != nil {
		ports.give(port)
		return err
	}
	i.web = &webSide{port: port, atOnce: max(1, i.config.WebAtOnce), idle: keepIdle, own: newConnBuffers()}
	i.follow()
	go i.awaitListening()
	return nil
}

// awaitListening tries to connect until the function accepts, or its process has
// ended. The connection is kept for the first exchange.
func (i *Instance) awaitListening() {
	pause := time.NewTimer(firstProbe)
	defer pause.Stop()
	for wait := firstProbe; ; wait = min(wait*5/4, lastProbe) {
		select {
		case <-i.exited:
			return
		case <-pause.C:
		}
		conn, err := i.dialReady()
		switch {
		case err == nil:
			i.keepConn(conn, true)
			i.announceReady()
			return
		case errors.Is(err, errForeign):
			i.refuse(err)
			return
		}
		pause.Reset(wait)
	}
}

// dialReady asks the kernel before its tables: a refused connection costs less.
func (i *Instance) dialReady() (*webConn, error) {
	d := net.Dialer{Timeout: probeWithin}
	c, err := d.Dial("tcp4", "127.0.0.1:"+strconv.Itoa(i.web.port))
	if err != nil {
		return nil, err
	}
	_ = c.Close()
	return i.dial(time.Now().Add(probeWithin))
}

func (i *Instance) announceReady() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.isReady = true
	close(i.ready)
}

// refuse ends a process whose port is another's.
func (i *Instance) refuse(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.initErr = &pools.StartError{Type: "Runtime.ExitError", Err: err}
	i.killLocked()
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// pid1 is the first process of a cluster, in its namespaces.
func (c *invocation) pid1() error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // until we are on record
		return err
	}
	if os.Getpid() != 1 {
		return errors.New("pid1 is started by up, in namespaces of its own")
	}
	if err := prepare(); err != nil {
		return err
	}
	b := &boot{site: c.site, kubebox: *c.kube, procs: &procs{waiting: map[int]chan syscall.WaitStatus{}}, ended: make(chan error), began: time.Now()}
	go b.procs.collect()
	if err := b.all(); err != nil {
		return err
	}
	for err := range b.ended {
		fmt.Fprintln(os.Stderr, time.Now().UTC().Format(time.RFC3339), "started again:", err)
	}
	return nil
}

// boot brings a cluster up, from inside.
type boot struct {
	site
	kubebox string
	procs   *procs
	ended   chan error // components that ended although they should not
	began   time.Time
	times   string
	api     *http.Client
}

func (b *boot) all() error {
	for _, step := range []func() error{b.mounts, b.tunables, b.network, b.files, b.controlPlane, b.services, b.node} {
		if err := step(); err != nil {
			return err
		}
	}
	// Whoever waits for this file reads it at once, so it appears whole.
	if err := os.WriteFile(b.path("times.new"), []byte(b.times), 0o644); err != nil {
		return err
	}
	return os.Rename(b.path("times.new"), b.path("times"))
}

// mounts hides what programs share with others of their kind on a machine, and gives
// the node a disk in our directory at the usual places.
func (b *boot) mounts() error {
	// Nothing goes out to the machine; pods' mounts show in ours, as a kubelet wants.
	for _, flags := range []uintptr{syscall.MS_PRIVATE, syscall.MS_SHARED} {
		if err := mount("none", "/", "", syscall.MS_REC|flags); err != nil {
			return err
		}
	}
	if err := mount("proc", "/proc", "proc", 0); err != nil {
		return err
	}
	for _, dir := range []string{"/run", "/var/lib", "/var/log"} {
		if err := mount("tmpfs", dir, "tmpfs", 0); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/var/lib/containerd", "/var/lib/kubelet", "/var/log/pods"} {
		disk := b.path("disk", filepath.Base(dir))
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(disk, 0o755)); err != nil {
			return err
		}
		if err := mount(disk, dir, "", syscall.MS_BIND); err != nil {
			return err
		}
	}
	return nil
}

func mount(from, to, kind string, flags uintptr) error {
	if err := syscall.Mount(from, to, kind, flags, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", from, to, err)
	}
	return nil
}

// expected is what a kubelet wants of the whole machine's kernel, and would write.
var expected = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0",
	"kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// tunables shows the kubelet what it wants to read, so that it changes nothing that
// would outlive the cluster.
func (b *boot) tunables() error {
	if err := os.Mkdir("/run/tunables", 0o755); err != nil {
		return err
	}
	for name, value := range expected {
		shown := filepath.Join("/run/tunables", filepath.Base(name))
		if err := os.WriteFile(shown, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(shown, filepath.Join("/proc/sys", name), "", syscall.MS_BIND); err != nil {
			return err
		}
	}
	return nil
}

// network makes the node's addresses, on a bridge that leads nowhere. A kubelet
// takes no address of the loopback device.
func (b *boot) network() error {
	for _, line := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "node0", "type", "bridge"},
		{"address", "add", nodeIP + "/32", "dev", "node0"},
		{"address", "add", serviceIP + "/32", "dev", "node0"},
		{"link", "set", "node0", "up"},
	} {
		if err := b.procs.run(b.path("log", "network.log"), append([]string{"ip"}, line...)...); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

func (b *boot) files() error {
	if err := errors.Join(writePKI(b.path("pki")), b.writeNodeFiles()); err != nil {
		return err
	}
	var err error
	b.api, err = b.client()
	return err
}

// client speaks to the API server as an administrator.
func (b *boot) client() (*http.Client, error) {
	ca, err := os.ReadFile(b.path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	admin, err := tls.LoadX509KeyPair(b.path("pki", "admin.crt"), b.path("pki", "admin.key"))
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{admin}}}}, nil
}

func (b *boot) launch(names ...string) {
	all := b.components(b.kubebox)
	for _, name := range names {
		go b.keep(b.procs, all[name], b.ended)
	}
}

// controlPlane starts the controllers after the API server answers, which they would
// not wait for long.
func (b *boot) controlPlane() error {
	b.launch("etcd", "kube-apiserver", "containerd")
	if err := b.until("API server answers", func() bool { return b.ask("/readyz", nil) == nil }); err != nil {
		return err
	}
	if err := os.WriteFile(b.path("stop", onDemand), nil, 0o644); err != nil {
		return err
	}
	b.launch("kube-controller-manager", "kube-scheduler", onDemand)
	return nil
}

// node is ready when a pod can be made: there is an account for it, too.
func (b *boot) node() error {
	pause, err := b.writePause()
	if err != nil {
		return err
	}
	if err := b.until("containerd answers", func() bool { return exists("/run/containerd/containerd.sock") }); err != nil {
		return err
	}
	if err := b.procs.run(b.path("log", "images.log"), importImage(pause)...); err != nil {
		return err
	}
	b.launch("kubelet")
	if err := b.until("node is ready", b.nodeReady); err != nil {
		return err
	}
	return b.until("pods may be made", func() bool { return b.ask("/api/v1/namespaces/default/serviceaccounts/default", nil) == nil })
}

func (b *boot) nodeReady() bool {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if b.ask("/api/v1/nodes/"+nodeName, &node) != nil {
		return false
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// ask puts one question to the API server.
func (b *boot) ask(path string, answer any) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, apiServer+path, nil)
	if err != nil {
		return err
	}
	response, err := b.api.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	if answer == nil {
		_, err = io.Copy(io.Discard, response.Body) // the connection is used again
		return err
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// until waits for a state of the cluster, and notes when it came. A component that
// ends meanwhile is the reason why it will not.
func (b *boot) until(state string, there func() bool) error {
	for !there() {
		select {
		case err := <-b.ended:
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
	b.times += fmt.Sprintf("%6.1f s  %s\n", time.Since(b.began).Seconds(), state)
	return nil
}

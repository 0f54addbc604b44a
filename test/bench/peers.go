package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child that this run started and will end.
type process struct {
	cmd  *exec.Cmd
	addr string // where it answers
	log  *os.File
}

// spawn starts a command whose output goes to a file, and waits until addr accepts.
func (b *bench) spawn(ctx context.Context, name, addr, bin string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(b.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, addr: addr, log: log}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			return p, c.Close()
		}
		select {
		case <-ctx.Done():
			p.stop()
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("%s did not listen on %s:\n%s", name, addr, text)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	p.log.Close()
}

// cpu is the CPU time the process has used, children not counted, at the
// kernel's tick of 10 ms.
func (p *process) cpu() time.Duration {
	fields := p.stat()
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// threadCPU is the CPU time of the process's threads of a name.
func (p *process) threadCPU(name string) time.Duration {
	var sum time.Duration
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	for _, task := range tasks {
		if comm, _ := os.ReadFile(filepath.Join(task, "comm")); strings.TrimSpace(string(comm)) != name {
			continue
		}
		text, _ := os.ReadFile(filepath.Join(task, "schedstat"))
		if f := strings.Fields(string(text)); len(f) > 0 {
			ns, _ := strconv.ParseInt(f[0], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// stat is /proc/PID/stat after the command's name.
func (p *process) stat() []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

// rssMiB is the memory the process holds.
func (p *process) rssMiB() float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, _ := strconv.ParseFloat(f[1], 64)
			return kib / 1024
		}
	}
	return 0
}

// freeAddr is a loopback address that was free a moment ago.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// role starts this program again as a peer.
func (b *bench) role(ctx context.Context, role, target string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.spawn(ctx, role, addr, self, "-role", role+"@"+addr, "-target", target)
}

// nginx starts nginx as a reverse proxy with kept-alive upstreams, or returns nil
// if it is not installed.
func (b *bench) nginx(ctx context.Context, backend string) (*process, error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		return nil, nil
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(b.dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.err;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
 keepalive_requests 1000000;
 upstream b { server %[2]s; keepalive 256; keepalive_requests 1000000; }
 server { listen %[3]s; location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
`, b.dir, backend, addr)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return b.spawn(ctx, "nginx", addr, bin, "-c", conf)
}

// serveRole is the body of a peer process; role is NAME@ADDRESS.
func serveRole(ctx context.Context, role, target string) error {
	name, addr, _ := strings.Cut(role, "@")
	srv := &http.Server{Addr: addr, ReadHeaderTimeout: 5 * time.Second}
	switch name {
	case "backend":
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		})
	case "proxy":
		srv.Handler = tunedProxy(target)
	default:
		return fmt.Errorf("unknown role %q", name)
	}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// tunedProxy is httputil.ReverseProxy as one would tune it: connections kept,
// buffers pooled, nothing rewritten twice. With several targets, separated by
// commas, each serves one request at a time, as an instance of a function does.
func tunedProxy(targets string) http.Handler {
	transport := &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true}
	all := strings.Split(targets, ",")
	free := make(chan http.Handler, len(all))
	for _, target := range all {
		to := &url.URL{Scheme: "http", Host: target}
		free <- &httputil.ReverseProxy{
			Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(to) },
			Transport:  transport,
			BufferPool: &buffers{},
		}
	}
	if len(all) == 1 {
		return <-free
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy := <-free
		defer func() { free <- proxy }()
		proxy.ServeHTTP(w, r)
	})
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if v := b.pool.Get(); v != nil {
		return *v.(*[]byte)
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }

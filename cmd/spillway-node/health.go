package main

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spillway-dev/spillway/provider/admission"
	"github.com/spillway-dev/spillway/provider/idle"
	"github.com/spillway-dev/spillway/provider/node"
)

// health says how the process is. Who waits for the Lease is well, and not the node.
type health struct {
	node    atomic.Pointer[node.Node]
	webhook atomic.Pointer[admission.Keeper] // of every process, if there is one
	server  *http.Server
}

func (f *flags) serveHealth(metrics *prometheus.Registry) (*health, error) {
	h := &health{}
	if f.health == "" {
		return h, nil
	}
	listener, err := net.Listen("tcp", f.health)
	if err != nil {
		return nil, wrongInput("--health: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.alive)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = h.server.Serve(listener) }()
	return h, nil
}

// alive fails when only another process helps, which then may have the Lease.
func (h *health) alive(w http.ResponseWriter, _ *http.Request) {
	if n := h.node.Load(); n != nil {
		if err := n.Hung(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	if hook := h.webhook.Load(); hook != nil {
		if err := hook.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	n := h.node.Load()
	if n == nil {
		fmt.Fprintln(w, "waits for the Lease")
		return
	}
	if err := n.Healthy(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "is the node")
}

func (h *health) close() {
	if h.server != nil {
		_ = h.server.Close()
	}
}

// terms are the metrics of what the node's capacity is made of.
type terms struct {
	registry *prometheus.Registry
	capacity *prometheus.GaugeVec
	nodes    *prometheus.GaugeVec
	shrinks  prometheus.Gauge
}

func newTerms() *terms {
	t := &terms{
		registry: prometheus.NewRegistry(),
		capacity: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spillway_node_capacity",
			Help: "What the virtual node's capacity is made of, by term and resource: cpu in cores, memory and ephemeral-storage in bytes, others counted.",
		}, []string{"term", "resource"}),
		nodes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spillway_node_real_nodes", Help: "Real nodes that take guests (eligible), and those whose guests must give something back (pressed).",
		}, []string{"state"}),
		shrinks: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "spillway_node_reclaiming", Help: "1 while the node is tainted since its capacity falls.",
		}),
	}
	t.registry.MustRegister(t.capacity, t.nodes, t.shrinks, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return t
}

func (t *terms) set(r idle.Report) {
	for term, q := range map[string]idle.Quantities{
		"published": r.Published, "offered": r.Offered, "allocatable": r.Allocatable, "online": r.Online, "margin": r.Margin,
		"stranded": r.Stranded, "idle": r.Idle, "guests": r.Guests, "instances": r.Instances, "allocated": r.Allocated,
		"cloud": r.Cloud, "damped": r.Damped, "owed": r.Owed, "unschedulable": r.Unschedulable, "largest_free": r.Largest.Free,
	} {
		t.capacity.WithLabelValues(term, "cpu").Set(float64(q.MilliCPU) / 1000)
		t.capacity.WithLabelValues(term, "memory").Set(float64(q.MiB << 20))
		t.capacity.WithLabelValues(term, "ephemeral-storage").Set(float64(q.EphemeralMiB << 20))
		t.capacity.WithLabelValues(term, "pods").Set(float64(q.Pods))
		for _, c := range q.Extended {
			t.capacity.WithLabelValues(term, c.Name).Set(float64(c.N))
		}
	}
	t.nodes.WithLabelValues("eligible").Set(float64(r.Eligible))
	t.nodes.WithLabelValues("pressed").Set(float64(r.Pressed))
	t.shrinks.Set(0)
	if r.Reclaiming {
		t.shrinks.Set(1)
	}
}

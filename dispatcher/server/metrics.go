package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/pools"
)

// Metrics are what a Server counts. Labels are names from the configuration and
// the reasons, never ids. A nil *Metrics counts nothing.
type Metrics struct {
	placed   *prometheus.CounterVec
	refused  *prometheus.CounterVec
	outcomes *prometheus.CounterVec
	attempts *prometheus.HistogramVec
	total    *prometheus.HistogramVec
	waited   prometheus.Histogram
	cold     *prometheus.HistogramVec
	failed   *prometheus.CounterVec
	spent    *prometheus.CounterVec
}

// NewMetrics registers the metrics of a server.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	fast := prometheus.ExponentialBuckets(0.0005, 2, 16)
	m := &Metrics{
		placed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_dispatcher_placements_total",
			Help: "Answered calls by namespace, the pool that ran them last and why it did."}, []string{"namespace", "pool", "reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_dispatcher_refusals_total",
			Help: "Refused calls by namespace, reason and the kind of limit that decided."}, []string{"namespace", "reason", "limit"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_pool_attempts_total",
			Help: "Attempts by pool, what is known of their execution, and cause."}, []string{"pool", "outcome", "cause"}),
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "spillway_pool_attempt_duration_seconds",
			Help: "Time from handing an attempt to a pool to its end.", Buckets: fast}, []string{"pool"}),
		total: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "spillway_dispatcher_call_duration_seconds",
			Help: "Time from admission to answer of calls that ran.", Buckets: fast}, []string{"namespace"}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "spillway_dispatcher_wait_duration_seconds",
			Help: "Time that answered calls waited for a place, if they waited.", Buckets: fast}),
		cold: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "spillway_pool_cold_start_step_duration_seconds",
			Help: "Time of each step of a cold start.", Buckets: fast}, []string{"pool", "step"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_pool_start_failures_total",
			Help: "Instances that did not start."}, []string{"pool"}),
		spent: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_billing_settled_units_total",
			Help: "Cost of pools paid per call, in units of the platform's currency, rounded up to a billionth per attempt."}, []string{"namespace", "pool"}),
	}
	reg.MustRegister(m.placed, m.refused, m.outcomes, m.attempts, m.total, m.waited, m.cold, m.failed, m.spent)
	return m
}

func poolName(f *spillway.Function, pool int) string { return f.Platform.Pools[pool].Name }

// attempt counts the end of an attempt.
func (m *Metrics) attempt(f dispatcher.Effect, r *pools.Result, took time.Duration) {
	if m == nil {
		return
	}
	pool := poolName(f.Function, f.Pool)
	m.outcomes.WithLabelValues(pool, r.Outcome.Class.String(), r.Outcome.Cause.String()).Inc()
	m.attempts.WithLabelValues(pool).Observe(took.Seconds())
	if r.Outcome.Usage.InitMicros > 0 {
		m.cold.WithLabelValues(pool, "first_response").Observe(took.Seconds())
	}
}

// answer counts the answer of a call.
func (m *Metrics) answer(d *dispatcher.Decision) {
	if m == nil {
		return
	}
	ns := d.Call.Function.FunctionKey.Namespace
	if d.Waited > 0 {
		m.waited.Observe(d.Waited.Seconds())
	}
	if d.Refusal != spillway.ReasonNone {
		m.refused.WithLabelValues(ns, d.Refusal.String(), d.Limit.Kind.String()).Inc()
		return
	}
	a := d.Answering()
	pool := poolName(a.Function, a.Pool)
	m.placed.WithLabelValues(ns, pool, d.Reason.String()).Inc()
	m.total.WithLabelValues(ns).Observe(d.Answered.Sub(d.Admitted).Seconds())
	for i := range d.Attempts[:d.Tries] {
		if a := &d.Attempts[i]; a.Settled > 0 {
			m.spent.WithLabelValues(ns, poolName(a.Function, a.Pool)).Add(float64(a.Settled) / 1e9)
		}
	}
}

// started counts the start of an instance.
func (m *Metrics) started(f dispatcher.Effect, cold pools.ColdStart, err error) {
	if m == nil {
		return
	}
	pool := poolName(f.Function, f.Pool)
	if err != nil {
		m.failed.WithLabelValues(pool).Inc()
		return
	}
	m.cold.WithLabelValues(pool, "unpack").Observe(cold.Unpack.Seconds())
	m.cold.WithLabelValues(pool, "start").Observe(cold.Start.Seconds())
	m.cold.WithLabelValues(pool, "init").Observe(cold.Init.Seconds())
}

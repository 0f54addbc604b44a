package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

// View reports what is held now.
func (s *Server) View() dispatcher.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.View(s.clock.now())
}

// Instances counts the instances that are started now, by function and revision.
func (s *Server) Instances() map[spillway.FunctionKey]map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.Instances()
}

// gauges reads the Engine when metrics are collected.
type gauges struct{ s *Server }

var (
	gaugeCalls     = prometheus.NewDesc("spillway_dispatcher_calls_in_flight", "Calls admitted and not answered.", nil, nil)
	gaugeWaiting   = prometheus.NewDesc("spillway_dispatcher_calls_waiting", "Calls waiting for a place.", nil, nil)
	gaugeUnknown   = prometheus.NewDesc("spillway_dispatcher_attempts_unknown", "Attempts that may still be running in a cloud, outcome unknown.", nil, nil)
	gaugeRunning   = prometheus.NewDesc("spillway_pool_attempts_running", "Attempts running, by pool.", []string{"pool"}, nil)
	gaugeInstances = prometheus.NewDesc("spillway_pool_instances", "Instances by pool and state.", []string{"pool", "state"}, nil)
	gaugeSlots     = prometheus.NewDesc("spillway_pool_slots", "Capacity of a pool, or the concurrency of a cloud, in slots.", []string{"pool"}, nil)
	gaugeQuota     = prometheus.NewDesc("spillway_quota_slots_used", "Slots in use by quota node and class.", []string{"quota", "class"}, nil)
	gaugeQuotaMax  = prometheus.NewDesc("spillway_quota_slots_limit", "Nominal slots by quota node and class, if limited.", []string{"quota", "class"}, nil)
	gaugeSpent     = prometheus.NewDesc("spillway_budget_spent_units", "Money spent in the current window, in units of the platform's currency.", []string{"quota", "window"}, nil)
	gaugeReserved  = prometheus.NewDesc("spillway_budget_reserved_units", "Money reserved in the current window, in units of the platform's currency.", []string{"quota", "window"}, nil)
	gaugeBurst     = prometheus.NewDesc("spillway_burst_attempts_running", "Attempts in clouds by burst policy.", []string{"policy"}, nil)
	gaugeOpen      = prometheus.NewDesc("spillway_burst_open", "1 if calls that would overflow may, by burst policy, else 0.", []string{"policy"}, nil)
	gaugeShadow    = prometheus.NewDesc("spillway_burst_shadow_calls", "Calls that would have burst since shadow mode was switched on, by burst policy.", []string{"policy"}, nil)
	gaugeShadowFee = prometheus.NewDesc("spillway_burst_shadow_units", "What they would have cost, in units of the platform's currency.", []string{"policy"}, nil)
	gaugeBreaker   = prometheus.NewDesc("spillway_pool_breaker_open", "1 if calls are kept away from a cloud because too many failed, else 0.", []string{"pool"}, nil)
	gaugeJobs      = prometheus.NewDesc("spillway_offline_jobs", "Open jobs by state: waiting, admitted (of them unknown), cloud.", []string{"state"}, nil)
	gaugeIdle      = prometheus.NewDesc("spillway_offline_capacity", "What an offline pool has, in milliCPU or MiB.", []string{"pool", "resource"}, nil)
	gaugeHeld      = prometheus.NewDesc("spillway_offline_held", "What jobs and instances of functions hold of it, in milliCPU or MiB.", []string{"pool", "resource"}, nil)
	gaugeBudget    = prometheus.NewDesc("spillway_budget_limit_units", "Limit of a budget, in units of the platform's currency.", []string{"quota", "window"}, nil)
)

// Collector returns the gauges of the server and the calls of its revisions, for
// registration beside Metrics.
func (s *Server) Collector() prometheus.Collector { return gauges{s} }

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{gaugeCalls, gaugeWaiting, gaugeUnknown, gaugeRunning, gaugeInstances, gaugeSlots,
		gaugeQuota, gaugeQuotaMax, gaugeSpent, gaugeReserved, gaugeBudget, gaugeBurst, gaugeOpen, gaugeShadow, gaugeShadowFee, gaugeBreaker, revisionCalls, gaugeJobs, gaugeIdle, gaugeHeld} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	g.s.scene.Load().collect(ch)
	v := g.s.View()
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	send(gaugeCalls, float64(v.InFlight))
	send(gaugeWaiting, float64(v.Waiting))
	send(gaugeUnknown, float64(v.Unknown))
	for state, n := range map[string]int{"waiting": v.Jobs.Waiting, "admitted": v.Jobs.Admitted, "unknown": v.Jobs.Unknown, "cloud": v.Jobs.Cloud} {
		send(gaugeJobs, float64(n), state)
	}
	for _, p := range v.Pools {
		if o := p.Offline; o != nil {
			send(gaugeIdle, float64(o.MilliCPU), p.Name, "milliCPU")
			send(gaugeIdle, float64(o.MemoryMiB), p.Name, "MiB")
			send(gaugeHeld, float64(o.HeldMilliCPU), p.Name, "milliCPU")
			send(gaugeHeld, float64(o.HeldMemoryMiB), p.Name, "MiB")
		}
		send(gaugeRunning, float64(p.Running), p.Name)
		send(gaugeSlots, float64(p.Slots), p.Name)
		if p.Cloud {
			send(gaugeBreaker, oneIf(p.Breaker), p.Name)
		} else {
			send(gaugeInstances, float64(p.Running), p.Name, "busy")
			send(gaugeInstances, float64(p.Idle), p.Name, "idle")
			send(gaugeInstances, float64(p.Starting), p.Name, "starting")
		}
	}
	for _, q := range v.Quotas {
		for class, use := range map[string]dispatcher.UseView{"onPrem": q.OnPrem, "cloud": q.Cloud, "offline": q.Offline} {
			send(gaugeQuota, float64(use.Used), q.Name, class)
			if use.Limit >= 0 {
				send(gaugeQuotaMax, float64(use.Limit), q.Name, class)
			}
		}
		g.budgets(q, send)
	}
	for _, b := range v.Bursts {
		send(gaugeBurst, float64(b.InFlight), b.Name)
		send(gaugeOpen, oneIf(b.State == "open"), b.Name)
		if b.Shadow != nil {
			send(gaugeShadow, float64(b.Shadow.Calls), b.Name)
			send(gaugeShadowFee, float64(b.Shadow.Cost)/1e9, b.Name)
		}
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (g gauges) budgets(q dispatcher.QuotaView, send func(*prometheus.Desc, float64, ...string)) {
	for _, b := range q.Budgets {
		send(gaugeSpent, float64(b.Spent)/1e9, q.Name, b.Window)
		send(gaugeReserved, float64(b.Reserved)/1e9, q.Name, b.Window)
		send(gaugeBudget, float64(b.Limit)/1e9, q.Name, b.Window)
	}
}

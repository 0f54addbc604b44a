package kube

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct{ lookups, reviews *prometheus.CounterVec }

// kindMetrics are those of one kind of review.
type kindMetrics struct {
	hit, refused, miss, stale, limited prometheus.Counter // lookups
	yes, no, failed                    prometheus.Counter // reviews
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_kube_auth_lookups_total",
			Help: "Tokens (identity) and calls (permission) judged, by what was remembered: hit, refused (a no), miss, stale (the API server could not be asked), unfit (a token that says itself that it is not for us or has ended) or limited (too many unknown ones from one address)."}, []string{"kind", "found"}),
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_kube_auth_reviews_total",
			Help: "Reviews asked of the API server: of tokens (identity) and of access (permission), by answer."}, []string{"kind", "answer"}),
	}
	if err := errors.Join(to.Register(m.lookups), to.Register(m.reviews)); err != nil {
		return nil, fmt.Errorf("registering the metrics of authentication: %w", err)
	}
	return m, nil
}

func (m *metrics) of(kind string) kindMetrics {
	found := func(what string) prometheus.Counter { return m.lookups.WithLabelValues(kind, what) }
	said := func(what string) prometheus.Counter { return m.reviews.WithLabelValues(kind, what) }
	return kindMetrics{hit: found("hit"), refused: found("refused"), miss: found("miss"), stale: found("stale"), limited: found("limited"),
		yes: said("yes"), no: said("no"), failed: said("failed")}
}

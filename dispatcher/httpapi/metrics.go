package httpapi

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway/auth"
)

// authKinds are the labels of failed authentication; anything else is "other".
var authKinds = []string{auth.TypeMissingToken, auth.TypeIncompleteSignature, auth.TypeInvalidSignature,
	auth.TypeUnrecognizedClient, auth.TypeUnavailable, typeAccessDenied}

// metrics of the front door. Counters of a vector are looked up once, at start.
type metrics struct {
	inFlight    prometheus.Gauge
	connections prometheus.Gauge
	turnedAway  prometheus.Counter
	panics      prometheus.Counter
	received    prometheus.Counter
	sent        prometheus.Counter
	requests    [apiCount][6]prometheus.Counter // by hundreds of the status
	failures    map[string]prometheus.Counter
	otherKind   prometheus.Counter
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		inFlight:    gauge("spillway_http_requests_in_flight", "Requests of the front door that are not answered yet."),
		connections: gauge("spillway_http_connections", "Open connections of the front door."),
		turnedAway:  counter("spillway_http_connections_refused_total", "Connections closed at once because too many were open."),
		panics:      counter("spillway_http_panics_total", "Requests that broke their handler."),
		received:    counter("spillway_http_request_body_bytes_total", "Payload bytes of requests handed to the dispatcher."),
		sent:        counter("spillway_http_response_body_bytes_total", "Body bytes of answers."),
		failures:    make(map[string]prometheus.Counter, len(authKinds)),
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_http_requests_total",
		Help: "Answered requests of the front door by API and class of status; 0xx is a connection lost without an answer."}, []string{"api", "code"})
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_http_auth_failures_total",
		Help: "Requests that were not authenticated or not authorised, by kind."}, []string{"kind"})
	for a := range apiCount {
		for class := range m.requests[a] {
			m.requests[a][class] = requests.WithLabelValues(a.String(), fmt.Sprintf("%dxx", class))
		}
	}
	for _, kind := range authKinds {
		m.failures[kind] = failures.WithLabelValues(kind)
	}
	m.otherKind = failures.WithLabelValues("other")
	return m, register(to, m.inFlight, m.connections, m.turnedAway, m.panics, m.received, m.sent, requests, failures)
}

func register(to prometheus.Registerer, all ...prometheus.Collector) error {
	var faults []error
	for _, c := range all {
		faults = append(faults, to.Register(c))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("registering the metrics of the front door: %w", err)
	}
	return nil
}

func (m *metrics) answered(a api, status int) {
	m.requests[a][min(status/100, 5)].Inc()
}

func (m *metrics) refusedAs(kind string) {
	if c, ok := m.failures[kind]; ok {
		c.Inc()
		return
	}
	m.otherKind.Inc()
}

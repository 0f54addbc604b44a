package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"

	"github.com/spillway-dev/spillway/provider/admission"
	"github.com/spillway-dev/spillway/provider/gate"
)

const (
	decideWithin = 2 * time.Second // the API server waits for 3
	leaveWithin  = 5 * time.Second
)

// serveWebhook serves the webhook for opting in until the process ends, also while
// another is the node; nil if it is not asked for. stop ends it.
func (f *flags) serveWebhook(ctx context.Context, client kubernetes.Interface, metrics *prometheus.Registry, log *slog.Logger) (keeper *admission.Keeper, stop func(), err error) {
	if f.webhook == "" {
		return nil, func() {}, nil
	}
	dispatcher, err := gate.New(f.dispatcher, f.dispatcherToken, decideWithin)
	if err != nil {
		return nil, nil, inputError{err}
	}
	hook := &admission.Webhook{Node: f.name, Dispatcher: dispatcher, Find: admission.Remembered(client.CoreV1().Nodes(), f.name, time.Now), Within: decideWithin, Told: toldIn(metrics)}
	handler, err := hook.Handler()
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", f.webhook)
	if err != nil {
		return nil, nil, wrongInput("--webhook: %w", err)
	}
	keeper = &admission.Keeper{Client: client, Namespace: f.namespace, Names: []string{admission.Name + "." + f.namespace + ".svc"}, Now: time.Now, Log: log}
	go keeper.Run(ctx)
	server := &http.Server{Handler: handler, TLSConfig: keeper.TLS(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the webhook for opting in has ended", "err", err)
		}
	}()
	return keeper, func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
		defer cancel()
		_ = server.Shutdown(within) // who still waits is answered by another, or not at all
	}, nil
}

// toldIn counts what became of pods.
func toldIn(metrics *prometheus.Registry) func(admission.Answer) {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spillway_node_webhook_pods_total",
		Help: "New pods of namespaces that opted in, by what became of them: placed on the virtual node, left as not meant, unfit to move, refused by the dispatcher, unanswered by it.",
	}, []string{"answer"})
	for _, a := range admission.Answers {
		answers.WithLabelValues(string(a))
	}
	metrics.MustRegister(answers)
	return func(a admission.Answer) { answers.WithLabelValues(string(a)).Inc() }
}

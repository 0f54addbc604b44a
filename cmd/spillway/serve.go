package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/spillway-dev/spillway/auth"
	kubeauth "github.com/spillway-dev/spillway/auth/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
)

// serveFlags are those of up, and of the cluster.
type serveFlags struct {
	upFlags
	kubeconfig, namespace, metrics, audience, nodes string
}

const (
	systemNamespace   = "spillway-system"
	podNamespaceFile  = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	clusterStartLimit = time.Minute
	// instancePriority is the PriorityClass of instance pods, which manifests make.
	instancePriority = "spillway-instance"
)

func newServe(s streams) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server in a Kubernetes cluster, from the objects there",
		Long: `Run what 'spillway up' runs, from the objects of group spillway.dev in a Kubernetes
cluster: functions, pools, quotas, burst policies and price books, and Rego from
ConfigMaps of the system namespace with the label spillway.dev/policy=true.

Callers are those of the cluster: bearer tokens of service accounts made for the
audience, and RBAC says what they may invoke (verb invoke on functions.spillway.dev).
A token is looked at only if it is a JWT that names the audience and has not ended.
Calls of known callers do not wait for the API server: while it is gone, what was
loaded last serves, and callers that were allowed in the last five minutes go on,
on-prem only.

One server runs at a time; its ledger is in --data, which outlives the pod. A Lease of
the system namespace holds it to that: another waits until this one has ended, or has
not been heard of for 10 seconds.
'spillway operator' beside it writes what became of objects into their status.`,
		Example: `  spillway serve                                  # in a pod; see manifests/
  spillway serve --kubeconfig admin.kubeconfig --namespace spillway-system --data /var/lib/spillway`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "`directory` of more files, such as a Server; optional")
	flags.StringVar(&f.listen, "listen", "0.0.0.0:8080", "`address` of the front door, IP:port")
	flags.StringVar(&f.admin, "admin", "", "`address` of explanations and reports, loopback only; overrides the configuration (127.0.0.1:8081)")
	flags.StringVar(&f.metrics, "metrics", "0.0.0.0:9090", "`address` of /healthz, /readyz and /metrics for the cluster, which only read")
	flags.StringVar(&f.data, "data", "", "`directory` of the ledger, packages and caches; overrides the configuration (the user's state directory)")
	flags.StringVar(&f.nodes, "nodes", "0.0.0.0:8082", "`address` where virtual nodes ask for room on idle capacity")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that says where the cluster is; by default $KUBECONFIG, and in a pod its own cluster")
	flags.StringVar(&f.namespace, "namespace", "", "system `namespace`, where policies are; by default the pod's own, else "+systemNamespace)
	flags.StringVar(&f.audience, "audience", kubeauth.DefaultAudience, "`name` that callers' tokens are made for")
	f.log = &format{"text", []string{"text", "json"}}
	flags.Var(f.log, "log-format", "form of the log on standard error: text, json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), s) }
	return cmd
}

// run is the life of a server in a cluster.
func (f *serveFlags) run(ctx context.Context, s streams) error {
	if err := checkAddress("--metrics", f.metrics); err != nil {
		return err
	}
	if err := checkAddress("--nodes", f.nodes); err != nil {
		return err
	}
	data, err := f.dataDir()
	if err != nil {
		return err
	}
	log := f.logger(s.err)
	ctrllog.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetSlogLogger(log)
	connect := clusterAt(f.kubeconfig)
	c, err := connect()
	if err != nil {
		return err
	}
	door, err := openDoorstep(f.metrics, log)
	if err != nil {
		return err
	}
	seat, release, err := alone(ctx, c, f.system(), data, door, log)
	if err != nil {
		return errors.Join(err, door.close())
	}
	err = f.serve(ctx, s, serving{c, connect, data, door, seat, log})
	return errors.Join(err, release(), door.close())
}

// serving is what a server in a cluster has before it has its objects.
type serving struct {
	cluster *rest.Config
	connect func() (*rest.Config, error)
	data    string
	door    *doorstep
	seat    *cluster.Seat
	log     *slog.Logger
}

// serve is the life of the one that has the seat.
func (f *serveFlags) serve(ctx context.Context, s streams, with serving) error {
	following, stop := context.WithCancel(context.WithoutCancel(ctx)) // until the drain is over
	defer stop()
	source, err := openSource(ctx, following, func(ctx context.Context) (*cluster.Source, error) {
		return cluster.Open(ctx, with.cluster, f.system())
	})
	if err != nil {
		return err
	}
	from := &inCluster{source: source, dir: f.config, policies: filepath.Join(with.data, "policy"), packages: deployedIn(with.data), kept: keptIn(with.data), log: with.log}
	return launch(ctx, s, &f.upFlags, from, func(a *app) error {
		a.lost = with.seat.Lost()
		a.live.beganWith(from.next.instead)
		a.link = newKubeLink(a.loaded.Server.DataDir, with.connect)
		a.link.priority, a.link.hold = instancePriority, with.seat.Hold
		reviews, err := kubeauth.NewReviews(with.cluster)
		if err != nil {
			return fmt.Errorf("ask the cluster who callers are: %w", err)
		}
		tokens, err := kubeauth.New(kubeauth.Config{Reviews: reviews, Audience: f.audience, Registerer: a.metrics, Logger: a.log})
		if err != nil {
			return err
		}
		a.who, a.nodeAuth = eitherCallers{&a.callers, tokens}, tokens
		use, err := cluster.NewPublisher(with.cluster)
		if err != nil {
			return err
		}
		a.besides = append(a.besides, func(ctx context.Context) { a.publishUse(ctx, from, use) }, a.sweepPackages)
		a.note("health", "http://%s/readyz /metrics", with.door.at)
		with.door.show(a)
		return a.listenToNodes(f.nodes)
	})
}

// dataDir is known before the objects of the cluster are: packages and policies are
// there.
func (f *serveFlags) dataDir() (string, error) {
	loaded, err := config.Load(f.config, time.Now(), config.Checks{InCluster: true, WithoutCode: true})
	if err != nil {
		return "", err
	}
	if err := f.override(&loaded.Server); err != nil {
		return "", err
	}
	return loaded.Server.DataDir, makeDataDir(loaded.Server.DataDir)
}

// openSource gives up after a while, although what it opens follows until later.
func openSource(ctx, following context.Context, open func(context.Context) (*cluster.Source, error)) (*cluster.Source, error) {
	opening, giveUp := context.WithCancelCause(following)
	late := time.AfterFunc(clusterStartLimit, func() {
		giveUp(fmt.Errorf("the cluster has not answered within %s; may this account list and watch the objects of spillway.dev?", clusterStartLimit))
	})
	stopped := context.AfterFunc(ctx, func() { giveUp(context.Cause(ctx)) })
	source, err := open(opening)
	if !late.Stop() || !stopped() {
		return nil, errors.Join(err, context.Cause(opening))
	}
	return source, err
}

// system is the namespace of the system's own objects.
func (f *serveFlags) system() string {
	own, _ := os.ReadFile(podNamespaceFile) // not in a pod: not there
	return cmp.Or(f.namespace, strings.TrimSpace(string(own)), systemNamespace)
}

// listenToNodes opens the port of virtual nodes.
func (a *app) listenToNodes(at string) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return wrongInput("--nodes: %w", err)
	}
	a.nodesAt = l
	a.note("nodes", "http://%s/v1/offline/", l.Addr())
	a.onClose(func() error { _ = l.Close(); return nil }) // it was served and is closed, or never was
	return nil
}

// eitherCallers are those of the configuration, and all others those of the cluster.
type eitherCallers struct {
	configured *liveCallers
	cluster    *kubeauth.Authenticator
}

// Precheck implements httpapi.Authenticator.
func (c eitherCallers) Precheck(r *http.Request) error { return c.configured.Precheck(r) }

// Authenticate implements httpapi.Authenticator.
func (c eitherCallers) Authenticate(r *http.Request, body []byte, now time.Time) (auth.Identity, error) {
	id, err := c.configured.Authenticate(r, body, now)
	if err == nil || strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") {
		return id, err
	}
	return c.cluster.Authenticate(r, body, now)
}

// Authorise implements httpapi.Authenticator.
func (c eitherCallers) Authorise(ctx context.Context, id auth.Identity, namespace, function string) (auth.Permission, error) {
	if id.Subject == nil {
		return c.configured.Load().Authorise(ctx, id, namespace, function)
	}
	return c.cluster.Authorise(ctx, id, namespace, function)
}

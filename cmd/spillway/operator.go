package main

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/operator"
)

type operatorFlags struct {
	kubeconfig, namespace, health, metrics string
	cloudsEvery                            time.Duration
	log                                    *format
}

func newOperator(s streams) *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "operator",
		Short: "Write into the status of a cluster's objects what became of them",
		Long: `Judge the objects of group spillway.dev in a Kubernetes cluster as the server does,
and write into their status what became of them: whether they hold as written, and
if not why; whether calls may burst now; which revisions there are; and what differs
from what is written. Put the on-prem limits of the quota tree into each namespace,
as a ResourceQuota for the pods of functions. What somebody changes there is shown
(condition Drifted) and left alone until the Quota changes.

Use it beside 'spillway serve'. Calls need no operator. Several may run: one leads,
by a Lease in the system namespace, and another goes on when it ends. With
--clouds-every the clouds are asked how they have the functions, as 'spillway cloud
check' does, with the credentials that pools name: read permissions are enough.
Functions whose burst policy says reservedConcurrency: Write have in the clouds the
concurrency reserved that is allowed to them here, which needs permissions to put
and delete it; what somebody else changes there is shown and left alone too.`,
		Example: `  spillway operator                               # in a pod; see manifests/
  spillway operator --kubeconfig admin.kubeconfig --clouds-every 10m`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that says where the cluster is; by default $KUBECONFIG, and in a pod its own cluster")
	flags.StringVar(&f.namespace, "namespace", "", "system `namespace`, where policies and the Lease are; by default the pod's own, else "+systemNamespace)
	flags.StringVar(&f.health, "health", "0.0.0.0:8081", "`address` of /healthz and /readyz; \"\" for none")
	flags.StringVar(&f.metrics, "metrics", "0.0.0.0:9090", "`address` of /metrics; \"\" for none")
	flags.DurationVar(&f.cloudsEvery, "clouds-every", 0, "`how often` clouds are asked for drift, at least 1m; 0 never asks")
	f.log = &format{"text", []string{"text", "json"}}
	flags.Var(f.log, "log-format", "form of the log on standard error: text, json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), s) }
	return cmd
}

func (f *operatorFlags) run(ctx context.Context, s streams) error {
	for flag, address := range map[string]string{"--health": f.health, "--metrics": f.metrics} {
		if address == "" {
			continue
		}
		if err := checkAddress(flag, address); err != nil {
			return err
		}
	}
	if f.cloudsEvery != 0 && f.cloudsEvery < time.Minute {
		return wrongInput("--clouds-every: %s is too often; allowed: 0, or at least 1m", f.cloudsEvery)
	}
	saveMemory()
	c, err := clusterAt(f.kubeconfig)()
	if err != nil {
		return err
	}
	log := (&upFlags{log: f.log}).logger(s.err)
	ctrllog.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetSlogLogger(log)
	o := operator.Options{Namespace: (&serveFlags{namespace: f.namespace}).system(), Health: f.health, Metrics: f.metrics, Policy: policyFaults, Log: log}
	if f.cloudsEvery > 0 {
		o.CloudsEvery = f.cloudsEvery
		o.Clouds = func(ctx context.Context, l *config.Loaded) []clouddrift.Finding {
			return checkClouds(ctx, l, "").Findings
		}
		o.Reserver = (&reserver{pacers: map[string]*pacer{}}).open
	}
	return operator.Run(ctx, c, o)
}

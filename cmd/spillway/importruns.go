package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/fromjob"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// runsOf is what a run takes and costs.
type runsOf struct {
	Duration v1alpha1.Duration `json:"duration"`
	From     string            `json:"from"` // what says so: history, flag or limit
	Seen     int               `json:"seen,omitempty"`
	Currency string            `json:"currency,omitempty"`
	Costs    []runCost         `json:"costs,omitempty"`
}

// runCost is what a run costs in a pool.
type runCost struct {
	Pool string `json:"pool"`
	Kind string `json:"kind"`
	Cost string `json:"cost"`                // exact, rounded up to nine decimals
	MiB  int64  `json:"memoryMiB,omitempty"` // of a cloud, which sells no less
}

func (r *runsOf) lines() []string {
	says := map[string]string{
		"history": fmt.Sprintf("%s, the median of %d that the cluster knows, with the wait for a place", r.Duration, r.Seen),
		"flag":    fmt.Sprintf("%s, as --duration says", r.Duration),
		"limit":   fmt.Sprintf("%s at most; how long it takes is not known (--kubeconfig, --duration)", r.Duration),
	}
	lines := []string{says[r.From]}
	for _, c := range r.Costs {
		line := fmt.Sprintf("%s %s in pool %s (%s)", c.Cost, r.Currency, c.Pool, c.Kind)
		if c.MiB > 0 {
			line += fmt.Sprintf(" with %d MiB; it runs there only with burst: allow and cloud: [{pool: %s}], which are yours to write", c.MiB, c.Pool)
		}
		lines = append(lines, line)
	}
	if len(r.Costs) == 0 {
		lines = append(lines, "no price is known; --config names a platform that has some")
	}
	return lines
}

func (f *importFlags) runs(ctx context.Context, s *fromjob.Source, m *fromjob.Made) (r runsOf, err error) {
	r = runsOf{Duration: m.Timeout, From: "limit"}
	if f.duration > time.Duration(m.Timeout) {
		return r, wrongInput("--duration: %s is longer than a run may take, %s; say --timeout, or let it stay a %s", f.duration, m.Timeout, s.Kind)
	}
	if f.duration > 0 {
		r.Duration, r.From = v1alpha1.Duration(f.duration), "flag"
	} else if f.kubeconfig != "" {
		took, err := f.history(ctx, s, m.Function.Metadata.Namespace)
		if err != nil {
			return r, err
		}
		if len(took) > 0 {
			r.Duration, r.From, r.Seen = v1alpha1.Duration(took[len(took)/2]), "history", len(took)
		}
	}
	if f.config == "" {
		return r, nil
	}
	loaded, err := config.Load(f.config, time.Now(), config.Checks{Digest: pkgdigest.Digest, Policy: policyFaults, WithoutCode: true})
	if err != nil {
		return r, err
	}
	r.Currency = loaded.Platform.Currency
	r.Costs, err = costsOf(loaded.Platform, spillway.Resources{Slots: 1, MilliCPU: m.MilliCPU, MiB: m.MiB}, time.Duration(r.Duration))
	return r, err
}

// costsOf is what a run costs in each pool that has a price; a cloud's is known where a
// function of the platform is bound to it.
func costsOf(p *spillway.Platform, need spillway.Resources, d time.Duration) ([]runCost, error) {
	var out []runCost
	for i, pool := range p.Pools {
		rate, need := pool.Rate, need
		if pool.Kind.Cloud() {
			need.MiB = int64(config.CloudMemory(pool.Kind.String(), v1alpha1.Bytes(need.MiB<<20)) >> 20)
			for _, f := range p.Functions {
				if f.Bindings[i].Rate != (spillway.Rate{}) {
					rate = f.Bindings[i].Rate
				}
			}
		}
		if rate == (spillway.Rate{}) {
			continue
		}
		cost, err := rate.CeilNano(rate.BilledMillis(d.Milliseconds()), need)
		if err != nil {
			return nil, fmt.Errorf("what a run costs in pool %s: %w", pool.Name, err)
		}
		run := runCost{Pool: pool.Name, Kind: pool.Kind.String(), Cost: cost.String()}
		if pool.Kind.Cloud() {
			run.MiB = need.MiB
		}
		out = append(out, run)
	}
	return out, nil
}

// maxHistory bounds how many Jobs are read.
const maxHistory = 1000

// history is how long the completed Jobs took that s has made, or is, shortest first.
func (f *importFlags) history(ctx context.Context, s *fromjob.Source, namespace string) ([]time.Duration, error) {
	c, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	if err != nil {
		return nil, wrongInput("--kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	all, err := client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{Limit: maxHistory})
	if err != nil {
		return nil, fmt.Errorf("list the Jobs of namespace %s: %w", namespace, err)
	}
	var took []time.Duration
	for i := range all.Items {
		j := &all.Items[i]
		if belongs(j, s) && j.Status.StartTime != nil && j.Status.CompletionTime != nil {
			took = append(took, j.Status.CompletionTime.Sub(j.Status.StartTime.Time))
		}
	}
	slices.Sort(took)
	return took, nil
}

func belongs(j *batchv1.Job, s *fromjob.Source) bool {
	owner := metav1.GetControllerOf(j)
	if s.Cron != nil {
		return owner != nil && owner.Kind == "CronJob" && owner.Name == s.Name
	}
	return owner == nil && (j.Name == s.Name || s.GenerateName != "" && strings.HasPrefix(j.Name, s.GenerateName))
}

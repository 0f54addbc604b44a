package main

import (
	"cmp"
	"maps"

	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config/cluster"
)

// startFailer is a pool that knows which revisions do not start, and why.
type startFailer interface {
	FailedStarts() map[spillway.FunctionKey]map[string]string
}

// failedStarts are those of all pools.
func (a *app) failedStarts() map[spillway.FunctionKey]map[string]string {
	all := map[spillway.FunctionKey]map[string]string{}
	for _, p := range a.onPrem.list() {
		if p, ok := p.(startFailer); ok {
			for key, why := range p.FailedStarts() {
				if all[key] == nil {
					all[key] = map[string]string{}
				}
				maps.Copy(all[key], why)
			}
		}
	}
	return all
}

// notStarted is a generation of a function some of whose revisions do not start, and why.
type notStarted struct {
	generation int64
	why        map[string]string
}

// notStarting are the functions of the cluster that have revisions which do not start, by
// what pools know now and by what was said before: pools forget what nobody calls, and it
// is no better for that. A revision with an instance, or another generation, starts anew.
func notStarting(objects []cluster.Object, was map[types.UID]notStarted, now map[spillway.FunctionKey]map[string]string, started map[spillway.FunctionKey]map[string]int64) map[types.UID]notStarted {
	all := map[types.UID]notStarted{}
	for _, o := range objects {
		f, ok := o.(*kube.Function)
		if !ok {
			continue
		}
		key := spillway.FunctionKey{Namespace: f.Namespace, Name: f.Name}
		before := was[f.UID]
		why := map[string]string{}
		for _, r := range f.Spec.Revisions {
			said := now[key][r.Name]
			if before.generation == f.Generation && started[key][r.Name] == 0 {
				said = cmp.Or(said, before.why[r.Name])
			}
			if said != "" {
				why[r.Name] = said
			}
		}
		if len(why) > 0 {
			all[f.UID] = notStarted{f.Generation, why}
		}
	}
	return all
}

// sayFailing puts what does not start in the place of what has no other fault.
func sayFailing(served map[types.UID]cluster.Served, all map[types.UID]notStarted) {
	for uid, f := range all {
		if s, ok := served[uid]; ok && s.Reason == cluster.ReasonServing && s.Generation == f.generation {
			served[uid] = cluster.StartsFail(f.generation, f.why)
		}
	}
}

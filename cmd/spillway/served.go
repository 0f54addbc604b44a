package main

import (
	"context"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/config/deployed"
)

// judged is what a load made of the functions of the cluster, by UID.
type judged map[types.UID]cluster.Served

// judge is of objects that were loaded, with the faults that were found in them.
func judge(objects []cluster.Object, loaded *spillway.Platform, faults config.Faults) judged {
	byFile := map[string]config.Faults{}
	for _, f := range faults {
		byFile[f.File] = append(byFile[f.File], f)
	}
	all := judged{}
	for _, o := range objects {
		if f, ok := o.(*kube.Function); ok && f.DeletionTimestamp == nil {
			key := spillway.FunctionKey{Namespace: f.Namespace, Name: f.Name}
			all[f.UID] = cluster.ServedOf(f.Generation, byFile[v1alpha1.KindFunction+" "+key.String()], loaded.Function(key) != nil)
		}
	}
	return all
}

// judgeKept is of objects in whose place others were loaded: those that are the same.
func judgeKept(objects []cluster.Object, in []config.Object) judged {
	same := map[spillway.FunctionKey]any{}
	for _, o := range in {
		if f, ok := o.Written().(*v1alpha1.Function); ok {
			same[spillway.FunctionKey{Namespace: f.Metadata.Namespace, Name: f.Metadata.Name}] = f
		}
	}
	all := judged{}
	for _, o := range objects {
		f, ok := o.(*kube.Function)
		if ok && f.DeletionTimestamp == nil && reflect.DeepEqual(same[spillway.FunctionKey{Namespace: f.Namespace, Name: f.Name}], f.Written()) {
			all[f.UID] = cluster.ServedOf(f.Generation, nil, true)
		}
	}
	return all
}

// serves says that what was loaded last is what serves, and keeps it for the next start.
func (c *inCluster) serves() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving, c.loader, c.served = true, c.next.loader, c.next.judged
	if c.next.revision == "" {
		return
	}
	if err := c.kept.write(c.next.revision, c.loader.Good()); err != nil {
		c.log.Warn("a restart while objects have faults will not find those that are good now", "error", err)
	}
}

// servedNow is what is to be said of functions as they are now: nothing of those that no
// load has seen yet. refused is why the latest load was, or "".
func (c *inCluster) servedNow(objects []cluster.Object, refused string) map[types.UID]cluster.Served {
	c.mu.Lock()
	served := c.served
	c.mu.Unlock()
	all := map[types.UID]cluster.Served{}
	for _, o := range objects {
		f, ok := o.(*kube.Function)
		if !ok {
			continue
		}
		switch is, seen := served[f.UID]; {
		case seen && is.Generation == f.Generation:
			all[f.UID] = is
		case refused != "":
			all[f.UID] = cluster.Refused(f.Generation, refused)
		}
	}
	return all
}

// has reports that a function is an object of the cluster.
func (c *inCluster) has(ctx context.Context, key spillway.FunctionKey) (bool, error) {
	objects, err := c.source.All(ctx)
	return slices.ContainsFunc(objects, func(o cluster.Object) bool {
		_, ok := o.(*kube.Function)
		return ok && o.GetNamespace() == key.Namespace && o.GetName() == key.Name
	}), err
}

// sweep leaves packages that functions of the cluster name as they are written, those with
// faults and those that are being deleted too.
func (c *inCluster) sweep(ctx context.Context, from *deployed.Store, p *spillway.Platform, now time.Time) error {
	objects, err := c.source.All(ctx)
	if err != nil {
		return err
	}
	used := packagesOf(p)
	for _, o := range objects {
		if f, ok := o.(*kube.Function); ok {
			for _, r := range f.Spec.Revisions {
				if path, here := from.Package(r.Package.Digest); here {
					used = append(used, path)
				}
			}
		}
	}
	return from.Sweep(now, used...)
}

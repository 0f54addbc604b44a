package operator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
)

func wanting(n int64) *planned {
	return &planned{key: client.ObjectKey{Name: "f"}, write: true, want: []clouddrift.Reservation{{Pool: &spillway.Pool{Name: "p"}, Name: "f", Want: &n}}}
}

// TestSchedule: what has changed is first, what failed comes back later each time, and
// what is gone is forgotten.
func TestSchedule(t *testing.T) {
	now := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	s := schedule{every: 5 * time.Minute, at: map[types.UID]turn{}}
	p := &reservePlan{functions: map[types.UID]*planned{"a": wanting(1), "b": wanting(1)}}
	next := func(want types.UID, wait time.Duration) {
		t.Helper()
		if uid, w := s.next(p, now); uid != want || w != wait {
			t.Errorf("%q in %s, want %q in %s", uid, w, want, wait)
		}
	}
	next("a", 0)
	s.done("a", p.functions["a"].print(), false, now)
	next("b", 0)
	for _, wait := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		s.done("b", p.functions["b"].print(), true, now)
		if got := s.at["b"].at.Sub(now); got != wait*time.Second {
			t.Errorf("again in %s, want %s", got, wait*time.Second)
		}
	}
	next("", 5*time.Minute)
	now = now.Add(5 * time.Minute)
	next("a", 0)
	p.functions["b"] = wanting(2)
	next("b", 0) // though a has waited as long
	s.done("b", p.functions["b"].print(), true, now)
	if got := s.at["b"].at.Sub(now); got != 10*time.Second {
		t.Errorf("a new number waits %s for what failed of the one before", got)
	}
	p = &reservePlan{functions: map[types.UID]*planned{}}
	next("", 5*time.Minute)
	if len(s.at) != 0 {
		t.Errorf("remembered: %v", s.at)
	}
}

// TestEveryFunctionIsReached has more functions than fit into the time after which one
// is looked at again.
func TestEveryFunctionIsReached(t *testing.T) {
	const every, visit = time.Minute, time.Second / 3
	for _, seen := range []bool{false, true} { // in their status, by an operator before
		now := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
		s := schedule{every: every, at: map[types.UID]turn{}}
		p := &reservePlan{functions: map[types.UID]*planned{}}
		for i := range 3 * int(every/visit) {
			one := wanting(int64(i))
			one.asWritten = seen
			p.functions[types.UID(fmt.Sprintf("f%04d", i))] = one
		}
		p.functions["last"] = wanting(0)
		order := []types.UID{}
		for len(order) < len(p.functions) {
			uid, wait := s.next(p, now)
			if uid == "" || wait != 0 || s.at[uid].visited {
				t.Fatalf("%q again after %d of %d", uid, len(order), len(p.functions))
			}
			order = append(order, uid)
			s.done(uid, p.functions[uid].print(), false, now)
			now = now.Add(visit)
		}
		if seen && order[0] != "last" {
			t.Errorf("%q comes before one that has not what is wanted", order[0])
		}
	}
}

// TestPlanReserve: nothing is planned for a function that could go without being seen, and
// who takes away what it wrote comes before others of the same.
func TestPlanReserve(t *testing.T) {
	objects := decoded(t, cloudPlatform+`---
kind: Pool
metadata: {name: lambda-us}
spec: {kind: lambda, region: us-east-1}
---
kind: Function
metadata: {name: pay, namespace: shop, uid: pay}
spec: {revisions: [{name: a, image: localhost/pay:1, handler: /app/serve}], burst: allow, cloud: [{pool: lambda-us}]}
---
kind: Function
metadata: {name: other, namespace: shop, uid: other, finalizers: [spillway.dev/cleanup]}
spec: {revisions: [{name: a, image: localhost/pay:1, handler: /app/serve}]}
status: {reserved: [{pool: lambda-us, function: pay, unit: calls, written: 8}]}
`)
	load := func() *config.Loaded {
		t.Helper()
		var loader config.Cluster
		loaded, faults, err := loader.Load("", cluster.Kept(objects), time.Now(), config.Checks{InCluster: true, WithoutCode: true})
		if err != nil || len(faults) > 0 {
			t.Fatal(err, faults)
		}
		return loaded
	}
	pay, other := objects[0].(*kube.Function), objects[1].(*kube.Function)
	namespaces := map[string]*metav1.PartialObjectMetadata{"shop": {ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{ReserveAnnotation: "*"}}}}
	loaded := load()
	if one := planReserve(objects, loaded, namespaces).functions["pay"]; one != nil {
		t.Errorf("planned without a finalizer: %+v", one)
	}
	pay.Finalizers = []string{Finalizer}
	shared := func() string {
		return fmt.Sprint(planReserve(objects, loaded, namespaces).functions["pay"].want[0].Shared)
	}
	if got := shared(); got != "[shop/other]" {
		t.Errorf("while another takes its own away it is shared with %s", got)
	}
	other.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	loaded = load()
	if got := shared(); got != "[shop/other]" {
		t.Errorf("while another goes it is shared with %s", got)
	}
	plan := planReserve(objects, loaded, namespaces)
	pay.DeletionTimestamp, pay.Status.Reserved = other.DeletionTimestamp, other.Status.Reserved
	if then := plan.withDeletions(objects); then.blind || !then.functions["pay"].write || len(then.functions["pay"].want) > 0 {
		t.Errorf("deleted while others have faults: %+v", then.functions["pay"])
	}
	if then := (*reservePlan)(nil).withDeletions(objects); !then.blind || len(then.functions) != 2 {
		t.Errorf("by one that has just started: %+v", then)
	}
	other.Status.Reserved = nil
	pay.DeletionTimestamp, pay.Status.Reserved = nil, nil
	if got := shared(); got != "[]" {
		t.Errorf("it is shared with %s", got)
	}
}

// decoded are objects of YAML, functions first.
func decoded(t *testing.T, text string) []cluster.Object {
	t.Helper()
	var functions, others []cluster.Object
	for _, doc := range strings.Split(text, "---\n") {
		var of metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(doc), &of); err != nil {
			t.Fatal(err)
		}
		o := map[string]cluster.Object{"Function": &kube.Function{}, "Pool": &kube.Pool{}, "Quota": &kube.Quota{}, "BurstPolicy": &kube.BurstPolicy{}, "PriceBook": &kube.PriceBook{}}[of.Kind]
		if err := yaml.Unmarshal([]byte(doc), o); err != nil {
			t.Fatal(err)
		}
		if of.Kind == "Function" {
			functions = append(functions, o)
		} else {
			others = append(others, o)
		}
	}
	return append(functions, others...)
}

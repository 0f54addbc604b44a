package operator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/pools/scf"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// clouds are stand-ins of both, behind what a test wants of the way there.
type clouds struct {
	*lab
	mu     sync.Mutex
	turns  int
	broken error // what Reserve answers after it was sent
	deaf   bool  // credentials do not answer
	writes int
}

const cloudPlatform = `kind: PriceBook
metadata: {name: prices}
spec: {currency: USD, exchangeRates: [{from: CNY, to: USD, rate: "0.14", date: "2026-01-01", source: treasury}]}
---
kind: Pool
metadata: {name: pods}
spec: {kind: kubernetes, region: headquarters, kubernetes: {runtimeImage: 'localhost/runtime:dev', allowTags: true, sizes: [{memory: 256Mi, cpu: 250m}]}}
---
kind: BurstPolicy
metadata: {name: default}
spec: {mode: Hybrid, maxBurstConcurrency: 20, reservedConcurrency: Write}
---
kind: Quota
metadata: {name: retail}
spec: {namespaces: [shop], nominal: {cloud: {slots: 8}}, budgets: [{window: day, amount: '5'}]}
`

func newClouds(l *lab) *clouds {
	c := &clouds{lab: l}
	l.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	l.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	l.Setenv("TENCENTCLOUD_SECRET_ID", "AKIDEXAMPLE")
	l.Setenv("TENCENTCLOUD_SECRET_KEY", "secret")
	l.apply(strings.SplitN(cloudPlatform, "\n---\n", 2)[0])
	for provider, pool := range map[string]string{cloud.Lambda: "kind: Pool\nmetadata: {name: lambda-us}\nspec: {kind: lambda, region: us-east-1, lambda: {endpoint: '", cloud.SCF: "kind: Pool\nmetadata: {name: scf-gz}\nspec: {kind: scf, region: ap-guangzhou, scf: {endpoint: '"} {
		l.apply(pool + c.start(provider) + "', credentials: {environment: true}}}")
	}
	return c
}

// start starts another stand-in, and returns its address.
func (c *clouds) start(provider string) string {
	c.Helper()
	handle := func(context.Context, cloud.Event) ([]byte, error) { return nil, nil }
	s, err := cloud.New(cloud.Config{Provider: provider, Keys: map[string]string{"AKIDEXAMPLE": "secret"}, Clock: c.clock,
		Functions: []cloud.Function{{Name: "pay", MiB: 256, Handle: handle}, {Name: "cart", MiB: 256, Handle: handle}}})
	c.must(err)
	web := httptest.NewServer(s)
	c.Cleanup(func() { web.Close(); c.must(s.Close()) })
	return web.URL
}

// clock goes on with each request, so that the control plane takes all.
func (c *clouds) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(time.Duration(c.turns) * time.Second / 15)
}

func (c *clouds) open(ctx context.Context, pool *spillway.Pool) (Reserver, func(), error) {
	pace := func(context.Context) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.turns++
		return nil
	}
	c.mu.Lock()
	deaf := c.deaf
	c.mu.Unlock()
	if deaf {
		return nil, nil, errors.New("nobody knows the credentials")
	}
	if pool.Kind == spillway.PoolSCF {
		p, err := scf.New(ctx, pool)
		if err != nil {
			return nil, nil, err
		}
		return &way{p.Reserver(pace), c}, p.Close, nil
	}
	p, err := lambda.New(ctx, pool)
	if err != nil {
		return nil, nil, err
	}
	return &way{p.Reserver(pace), c}, p.Close, nil
}

// way may lose answers.
type way struct {
	Reserver
	c *clouds
}

func (w *way) Reserve(ctx context.Context, name string, n int64) error {
	err := w.Reserver.Reserve(ctx, name, n)
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.c.writes++
	return errors.Join(err, w.c.broken)
}

func (c *clouds) breaks(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
}

// somebody changes what a cloud has.
func (c *clouds) somebody(pool, name string, do func(Reserver) error) {
	c.Helper()
	c.somebodyAt(c.pool(pool), do)
}

// pool is one as it is written now.
func (c *clouds) pool(name string) *spillway.Pool {
	c.Helper()
	p := &kube.Pool{}
	c.must(c.Get(c.Context(), types.NamespacedName{Name: name}, p))
	at := &spillway.Pool{Name: name, Kind: spillway.PoolLambda, Region: p.Spec.Region}
	if p.Spec.SCF != nil {
		at.Kind, at.SCF = spillway.PoolSCF, spillway.SCFEndpoint{Endpoint: p.Spec.SCF.Endpoint, Namespace: "default", CredentialsFrom: "environment"}
	} else {
		at.Lambda = spillway.LambdaEndpoint{Endpoint: p.Spec.Lambda.Endpoint, CredentialsFrom: "environment"}
	}
	return at
}

func (c *clouds) somebodyAt(at *spillway.Pool, do func(Reserver) error) {
	c.Helper()
	r, end, err := c.open(c.Context(), at)
	c.must(err)
	defer end()
	c.must(do(r.(*way).Reserver))
}

// has waits until a cloud has n reserved; -1 is none.
func (c *clouds) has(pool, name string, n int64) {
	c.Helper()
	c.hasAt(c.pool(pool), name, n)
}

func (c *clouds) hasAt(pool *spillway.Pool, name string, n int64) {
	c.Helper()
	c.within(func() string {
		var is *int64
		c.somebodyAt(pool, func(r Reserver) (err error) { is, err = r.Reserved(c.Context(), name); return err })
		if got := reservedText(is, "units"); got != reservedText(map[bool]*int64{true: &n}[n >= 0], "units") {
			return pool.Name + " has " + got
		}
		return ""
	})
}

func reserves(n int64) func(Reserver) error {
	return func(r Reserver) error { return r.Reserve(context.Background(), "pay", n) }
}

// claimed has functions of a namespace have what names say reserved.
func (c *clouds) claimed(namespace, names string) {
	c.Helper()
	c.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + namespace + ", annotations: {" + ReserveAnnotation + ": '" + names + "'}}")
}

func bound(name, rest string) string {
	return functionText("shop", name, "a", "burst: allow, resources: {memory: 256Mi}, cloud: [{pool: lambda-us}, {pool: scf-gz}]"+rest)
}

// TestConcurrencyIsReserved follows reservations in both clouds from the first to the last.
func TestConcurrencyIsReserved(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	c := newClouds(l)
	c.claimed("shop", "pay, cart,*")
	l.apply(cloudPlatform+"---\n"+bound("pay", ""), functionText("shop", "stay", "a", ""))
	stop := l.run(Options{Reserver: c.open, CloudsEvery: 300 * time.Millisecond, Drain: time.Second})
	pay := function("shop", "pay")
	c.has("lambda-us", "pay", 8)
	c.has("scf-gz", "pay", 8*256)
	l.condition(pay, kube.Drifted, "AsWritten")
	l.within(func() string { return want(len(l.eventsOf("pay", "Reserved")), 2, "events of what was reserved") })
	if get(l, function("shop", "stay")).Status.Reserved != nil {
		t.Error("something is reserved for a function that is in no cloud")
	}

	t.Run("another limit", func(t *testing.T) {
		l.apply("kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], nominal: {cloud: {slots: 5}}, budgets: [{window: day, amount: '5'}]}")
		c.has("lambda-us", "pay", 5)
		c.has("scf-gz", "pay", 5*256)
	})
	t.Run("somebody else changes it", func(t *testing.T) {
		c.somebody("lambda-us", "pay", reserves(77))
		l.contains(l.condition(pay, kube.Drifted, string(clouddrift.ChangedElsewhere)), "lambda-us pay: reserved concurrency: 5 calls at once wanted, 77 calls at once found", RestoreAnnotation)
		l.quiet(pay)
		stop()
		stop = l.run(Options{Reserver: c.open, CloudsEvery: 300 * time.Millisecond, Drain: time.Second}) // another leads now
		l.quiet(pay)
		c.has("lambda-us", "pay", 77)
		l.must(l.Patch(t.Context(), pay, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+RestoreAnnotation+`":"now"}}}`))))
		c.has("lambda-us", "pay", 5)
		l.condition(pay, kube.Drifted, "AsWritten")
		l.within(func() string { return want(len(get(l, pay).Annotations), 0, "annotations") })
	})
	t.Run("the answer is lost", func(t *testing.T) {
		c.breaks(errors.New("the connection ended"))
		l.apply("kind: BurstPolicy\nmetadata: {name: default}\nspec: {mode: Hybrid, maxBurstConcurrency: 3, reservedConcurrency: Write}")
		l.contains(l.condition(pay, kube.Drifted, "ReserveFailed"), "the connection ended")
		c.breaks(nil)
		stop()
		stop = l.run(Options{Reserver: c.open, CloudsEvery: 300 * time.Millisecond, Drain: time.Second})
		l.condition(pay, kube.Drifted, "AsWritten")
		for _, e := range get(l, pay).Status.Reserved {
			if e.Written == nil || *e.Written != map[string]int64{"calls": 3, "MiB": 768}[e.Unit] || e.Writing != nil {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Run("the kill switch", func(t *testing.T) {
		l.apply("kind: BurstPolicy\nmetadata: {name: default}\nspec: {mode: Hybrid, maxBurstConcurrency: 3, reservedConcurrency: Write, killSwitch: true}")
		c.has("lambda-us", "pay", 0)
		c.has("scf-gz", "pay", 0)
	})
	t.Run("only what was written goes with the function", func(t *testing.T) {
		c.somebody("scf-gz", "pay", reserves(1024))
		l.condition(pay, kube.Drifted, string(clouddrift.ChangedElsewhere))
		l.must(l.Delete(t.Context(), pay))
		l.within(func() string {
			if !gone(l, pay) {
				return "it is still there"
			}
			return ""
		})
		c.has("lambda-us", "pay", -1)
		c.has("scf-gz", "pay", 1024)
	})
}

// TestConcurrencyThatIsNotReserved: what is left alone, and why.
func TestConcurrencyThatIsNotReserved(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	c := newClouds(l)
	c.claimed("shop", "pay, cart,*")
	c.somebody("lambda-us", "pay", reserves(33))
	l.apply(cloudPlatform + "---\n" + functionText("shop", "pay", "a", "burst: allow, cloud: [{pool: lambda-us}]"))
	stop := l.run(Options{})
	pay := function("shop", "pay")
	l.contains(l.condition(pay, kube.Drifted, "CloudsNotAsked"), "--clouds-every")
	stop()
	l.run(Options{Reserver: c.open, CloudsEvery: 300 * time.Millisecond, Drain: time.Second})
	l.contains(l.condition(pay, kube.Drifted, string(clouddrift.NotOurs)), "8 calls at once wanted, 33 calls at once found", "it was there before")

	// Whoever may edit a Function has nothing written that its namespace does not claim,
	// stands in nobody's way, and replaces nothing of others by asking.
	l.namespaces("strangers")
	l.apply(functionText("strangers", "one", "a", "burst: allow, cloud: [{pool: lambda-us, function: other}]"), functionText("strangers", "two", "a", "burst: allow, cloud: [{pool: lambda-us, function: cart}]"))
	l.contains(l.condition(function("strangers", "one"), kube.Drifted, "NotClaimed"), "kubectl annotate namespace strangers spillway.dev/reserve=other")
	l.must(l.Patch(t.Context(), get(l, pay), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+RestoreAnnotation+`":"now"}}}`))))
	l.within(func() string { return want(len(get(l, pay).Annotations), 0, "annotations") })
	l.within(func() string {
		return want(len(l.eventsOf("pay", "NotRestored")), 1, "events of what was not put back")
	})
	c.has("lambda-us", "pay", 33)

	// Others are not kept from theirs by one that is nowhere, nor by one that two share.
	l.apply(functionText("shop", "cart", "a", "burst: allow, cloud: [{pool: lambda-us}]"), functionText("shop", "nowhere", "a", "burst: allow, cloud: [{pool: lambda-us}]"))
	c.has("lambda-us", "cart", 8)
	l.contains(l.condition(function("shop", "nowhere"), kube.Drifted, "ReserveFailed"), "there is no such function in us-east-1")
	l.apply(functionText("shop", "twin", "a", "burst: allow, cloud: [{pool: lambda-us, function: cart}]"))
	l.contains(l.condition(function("shop", "twin"), kube.Drifted, "SharedInCloud"), "shop/cart")
	l.contains(l.condition(function("shop", "cart"), kube.Drifted, "SharedInCloud"), "shop/twin")
	c.has("lambda-us", "cart", 8)

	// More than the account has: 100 of its 1,000 stay unreserved.
	l.apply("kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], budgets: [{window: day, amount: '5'}]}",
		"kind: BurstPolicy\nmetadata: {name: default}\nspec: {mode: Hybrid, maxBurstConcurrency: 950, reservedConcurrency: Write}")
	l.within(func() string { // else it may take the number of before in that moment
		if r := get(l, pay).Status.Reserved; len(r) != 1 || r[0].Want == nil || *r[0].Want != 950 {
			return "another number is wanted"
		}
		return ""
	})
	c.somebody("lambda-us", "pay", func(r Reserver) error { return r.Unreserve(context.Background(), "pay") })
	l.contains(l.condition(pay, kube.Drifted, "ReserveFailed"), "of which 100 stay unreserved")
	c.has("lambda-us", "pay", -1)

	// With Show nothing is written any more, and what was goes with the function.
	l.apply("kind: BurstPolicy\nmetadata: {name: default}\nspec: {mode: Hybrid, maxBurstConcurrency: 1}")
	l.within(func() string {
		return want(len(get(l, pay).Status.Reserved), 0, "reservations of one that has none of ours")
	})
	cart := function("shop", "cart")
	l.within(func() string {
		if r := get(l, cart).Status.Reserved; len(r) != 1 || r[0].Want != nil || r[0].Reason != "" || *r[0].Written != 8 {
			return "what was written is not remembered"
		}
		return ""
	})
	c.has("lambda-us", "cart", 8)
	l.must(l.Patch(t.Context(), get(l, cart), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+RestoreAnnotation+`":"now"}}}`))))
	l.within(func() string { return want(len(get(l, cart).Annotations), 0, "annotations, though nothing is written") })
	l.within(func() string {
		return want(len(l.eventsOf("cart", "NotRestored")), 1, "events of what was not put back")
	})
	l.must(l.Delete(t.Context(), function("shop", "twin")))
	l.must(l.Delete(t.Context(), cart))
	c.has("lambda-us", "cart", -1)
	c.has("lambda-us", "pay", -1)
}

// TestFunctionsGoThoughCloudsAreSilent: the clean-up waits for clouds, and not for ever.
func TestFunctionsGoThoughCloudsAreSilent(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	c := newClouds(l)
	c.claimed("shop", "pay, cart,*")
	l.apply(cloudPlatform + "---\n" + functionText("shop", "pay", "a", "burst: allow, timeout: 1s, cloud: [{pool: lambda-us}]"))
	stop := l.run(Options{Reserver: c.open, CloudsEvery: time.Hour})
	c.has("lambda-us", "pay", 8)
	l.within(func() string {
		if r := get(l, function("shop", "pay")).Status.Reserved; len(r) != 1 || r[0].Written == nil {
			return "nothing is written down"
		}
		return ""
	})
	stop()
	c.mu.Lock()
	c.deaf = true
	c.mu.Unlock()
	l.run(Options{Reserver: c.open, CloudsEvery: time.Hour, Drain: time.Second, Cleanup: time.Second})
	l.must(l.Delete(t.Context(), function("shop", "pay")))
	l.within(func() string {
		if !gone(l, function("shop", "pay")) {
			return "it is still there"
		}
		return ""
	})
	l.within(func() string {
		notes := l.eventsOf("pay", "CleanupTimedOut")
		if len(notes) != 1 {
			return "no event"
		}
		l.contains(notes[0], "8 calls at once reserved for pay in lambda-us")
		return ""
	})
}

// TestApprovedLimitsAreReserved: what was approved for a Quota holds in clouds, and in
// namespaces, until the Quota says something else.
func TestApprovedLimitsAreReserved(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	c := newClouds(l)
	c.claimed("shop", "pay")
	l.apply(cloudPlatform + "---\n" + functionText("shop", "pay", "a", "burst: allow, cloud: [{pool: lambda-us}]"))
	l.run(Options{Reserver: c.open, CloudsEvery: time.Hour, Drain: time.Second})
	c.has("lambda-us", "pay", 8)
	objects, err := cluster.List(t.Context(), l)
	l.must(err)
	var loader config.Cluster
	loaded, faults, err := loader.Load("", cluster.Kept(objects), time.Now(), config.Checks{InCluster: true, WithoutCode: true})
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	approve := func(base string, slots int64) {
		text, err := json.Marshal(map[string]any{"status": map[string]any{"approved": kube.Approved{Base: base, Nominal: v1alpha1.Nominal{
			Cloud: &v1alpha1.Capacity{Slots: &slots}, OnPrem: &v1alpha1.Capacity{Slots: &slots}}}}})
		l.must(err)
		l.must(l.Status().Patch(t.Context(), quota("retail"), client.RawPatch("application/merge-patch+json", text)))
	}
	approve(loaded.QuotaBase("retail"), 12)
	c.has("lambda-us", "pay", 12)
	l.condition(function("shop", "pay"), kube.Drifted, "AsWritten")
	approve(loaded.QuotaBase("retail"), 3)
	c.has("lambda-us", "pay", 3)
	l.apply("kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], nominal: {cloud: {slots: 5}}, budgets: [{window: day, amount: '5'}]}")
	c.has("lambda-us", "pay", 5)
}

// TestReservationsAreNotLeftBehind: what was written is taken away where it was written,
// whatever has become of the rest meanwhile.
func TestReservationsAreNotLeftBehind(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	c := newClouds(l)
	c.claimed("shop", "*")
	pay := function("shop", "pay")
	payText := functionText("shop", "pay", "a", "burst: allow, cloud: [{pool: lambda-us}]")
	l.apply(cloudPlatform + "---\n" + payText)
	o := Options{Reserver: c.open, CloudsEvery: time.Hour, Drain: time.Second}
	stop := l.run(o)
	c.has("lambda-us", "pay", 8)
	l.condition(pay, kube.Drifted, "AsWritten")

	// The Pool is another cloud now.
	before := c.pool("lambda-us")
	l.apply("kind: Pool\nmetadata: {name: lambda-us}\nspec: {kind: lambda, region: us-east-1, lambda: {endpoint: '" + c.start(cloud.Lambda) + "', credentials: {environment: true}}}")
	c.hasAt(before, "pay", -1)
	c.has("lambda-us", "pay", 8)
	l.condition(pay, kube.Drifted, "AsWritten")

	// Another is bound to what one that goes has written.
	l.apply(functionText("shop", "next", "a", "burst: allow, cloud: [{pool: lambda-us, function: pay}]"))
	l.must(l.Delete(t.Context(), pay))
	next := function("shop", "next")
	l.within(func() string {
		if r := get(l, next).Status.Reserved; !gone(l, pay) || len(r) != 1 || r[0].Written == nil {
			return "it is not the next one's"
		}
		return ""
	})
	c.has("lambda-us", "pay", 8)

	// An object that concerns all has faults, also for an operator that has just started.
	l.apply("kind: Quota\nmetadata: {name: lost}\nspec: {parent: nowhere}")
	l.condition(quota("lost"), kube.Ready, ReasonInvalid)
	stop()
	stop = l.run(o)
	l.must(l.Delete(t.Context(), next))
	c.has("lambda-us", "pay", -1)
	l.within(func() string {
		if !gone(l, next) {
			return "it is still there"
		}
		return ""
	})
	l.must(l.Delete(t.Context(), quota("lost")))

	// It goes together with its Pool.
	l.apply(payText)
	c.has("lambda-us", "pay", 8)
	l.condition(pay, kube.Drifted, "AsWritten")
	stop()
	at := c.pool("lambda-us")
	l.must(l.Delete(t.Context(), &kube.Pool{ObjectMeta: metav1.ObjectMeta{Name: "lambda-us"}}))
	l.must(l.Delete(t.Context(), pay))
	l.run(o)
	c.hasAt(at, "pay", -1)
	l.within(func() string {
		if !gone(l, pay) {
			return "it is still there"
		}
		return ""
	})
	if left := append(l.eventsOf("pay", "ReservationLeft"), l.eventsOf("pay", "CleanupTimedOut")...); len(left) > 0 {
		t.Errorf("it says %q", left)
	}
}

// TestPlaceThatIsLost: where a Pool was before and that does not answer, a person decides.
func TestPlaceThatIsLost(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	c := newClouds(l)
	c.claimed("shop", "*")
	pay := function("shop", "pay")
	web := httptest.NewServer(http.NotFoundHandler())
	web.Close()
	l.apply(cloudPlatform + "---\n" + functionText("shop", "pay", "a", "burst: allow, cloud: [{pool: lambda-us}]"))
	l.must(l.Patch(t.Context(), pay, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":["`+Finalizer+`"]}}`))))
	l.must(l.Status().Patch(t.Context(), pay, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"reserved":[
		{"pool":"lambda-us","function":"pay","unit":"calls","written":8,"at":{"region":"eu-west-1","endpoint":"`+web.URL+`","credentials":"environment"}}]}}`))))
	l.run(Options{Reserver: c.open, CloudsEvery: 300 * time.Millisecond, Drain: time.Second})
	l.contains(l.condition(pay, kube.Drifted, "CloudUnreachable"), "it was written in eu-west-1", RestoreAnnotation)
	c.has("lambda-us", "pay", -1)
	l.must(l.Patch(t.Context(), pay, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+RestoreAnnotation+`":"now"}}}`))))
	c.has("lambda-us", "pay", 8)
	l.within(func() string {
		return want(len(l.eventsOf("pay", "ReservationLeft")), 1, "events of what is left")
	})
}

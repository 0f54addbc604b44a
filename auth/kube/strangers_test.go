package kube

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/spillway-dev/spillway/auth"
)

// crowd has n strangers call at once, each from an address of its own, and counts what
// they are told.
func (d *desk) crowd(t *testing.T, n int) (said map[string]int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	said = map[string]int{}
	for i := range n {
		all.Go(func() {
			got := d.callFrom(t, fmt.Sprintf("10.0.%d.%d:99", i/256, i%256), fmt.Sprintf("random-%d", i), "shop", "pay")
			mu.Lock()
			defer mu.Unlock()
			said[got]++
		})
	}
	all.Wait()
	return said
}

// TestManyAtOnce has a crowd of strangers while reviews are slow: so many are under way
// at once and no more, and the others wait for a second or are told to try again.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.takes = 400 * time.Millisecond // three times within the second
		said := d.crowd(t, 5*maxReviews)
		if d.most != maxReviews || said[auth.TypeUnrecognizedClient] != 3*maxReviews || said[auth.TypeUnavailable] != 2*maxReviews {
			t.Errorf("%d reviews at once: %v", d.most, said)
		}
		if n := d.metric("identity", "failed"); n != 0 {
			t.Errorf("%v reviews failed that were not made", n)
		}
	})
}

// TestStrangersHoldUpNobody: while strangers have all reviews that they may have, what is
// known is renewed as if they were not there. It is not on-prem only.
func TestStrangersHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.want(t, "token-web", "allowed")
		d.with(func() { d.takes = 2 * time.Second })
		var strangers sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		for i := range 3 * maxReviews {
			strangers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					d.callFrom(t, fmt.Sprintf("10.0.%d.%d:99", i/256, i%256), fmt.Sprintf("random-%d-%d", i, n), "shop", "pay")
				}
			})
		}
		for range 3 {
			time.Sleep(65 * time.Second)
			began := time.Now()
			d.want(t, "token-web", "allowed")
			if waited := time.Since(began); waited != 4*time.Second { // whose it is, and what it may
				t.Errorf("waited %s", waited)
			}
		}
		stop()
		strangers.Wait()
	})
}

// TestStrangersFailAlone: reviews of strangers that fail do not make others stale.
func TestStrangersFailAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.want(t, "token-web", "allowed")
		time.Sleep(65 * time.Second)
		d.with(func() { d.gone = true })
		d.want(t, "random", auth.TypeUnavailable)
		d.with(func() { d.gone = false })
		d.want(t, "token-web", "allowed")
	})
}

// TestStrangerRate bounds the unknown tokens of one address, and of no other.
func TestStrangerRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, n := newDesk(t), 0
		send := func(address string) string {
			n++
			return d.callFrom(t, address, fmt.Sprintf("random-%d", n), "shop", "pay")
		}
		d.want(t, "token-web", "allowed") // of the same address
		for range strangerBurst - 1 {
			if got := send("192.0.2.1:1"); got != auth.TypeUnrecognizedClient {
				t.Fatal(got)
			}
		}
		for port, want := range map[string]string{
			"192.0.2.1:2": auth.TypeUnavailable, "[::ffff:192.0.2.1]:3": auth.TypeUnavailable, "192.0.2.2:1": auth.TypeUnrecognizedClient,
		} {
			if got := send(port); got != want {
				t.Errorf("%s: %s, want %s", port, got, want)
			}
		}
		d.want(t, "token-web", "allowed")
		if limited := d.metric("identity", "limited"); limited != 2 {
			t.Errorf("%v were counted", limited)
		}
		time.Sleep(time.Second)
		admitted := 0
		for range 100 {
			if send("192.0.2.1:1") == auth.TypeUnrecognizedClient {
				admitted++
			}
		}
		if admitted != strangerRate {
			t.Errorf("%d a second later", admitted)
		}
		d.asks(t, strangerBurst+1+strangerRate, 1)
	})
}

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80":           "192.0.2.1/32",
		"[::ffff:192.0.2.1]:80":  "192.0.2.1/32",
		"[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":      "fe80::/64",
		"@":                      "invalid Prefix",
		"":                       "invalid Prefix",
	} {
		if got := network(remote).String(); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

// TestUnfit asks nobody about what says itself that it is not for us, or has ended.
func TestUnfit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		token := func(claims string, values ...any) string {
			return "token-web." + payload(fmt.Sprintf(claims, values...)) + ".sig"
		}
		for name, test := range map[string]struct {
			token string
			fit   bool
		}{
			"one audience":       {token(`{"aud":"spillway.dev","exp":%d}`, now+60), true},
			"one of several":     {token(`{"aud":["else","spillway.dev"],"exp":%d}`, now+60), true},
			"our clock is ahead": {token(`{"aud":["spillway.dev"],"exp":%d}`, now-299), true},
			"ended":              {token(`{"aud":["spillway.dev"],"exp":%d}`, now-300), false},
			"without an end":     {token(`{"aud":["spillway.dev"]}`), false},
			"no audience":        {token(`{"exp":%d}`, now+60), false},
			"another audience":   {token(`{"aud":["else"],"exp":%d}`, now+60), false},
			"part of another":    {token(`{"aud":"not-spillway.dev","exp":%d}`, now+60), false},
			"odd audience":       {token(`{"aud":{"spillway.dev":1},"exp":%d}`, now+60), false},
			"four parts":         {token(`{"aud":["spillway.dev"],"exp":%d}`, now+60) + ".x", false},
			"no signature":       {"token-web." + payload(`{"aud":["spillway.dev"],"exp":253402300799}`), false},
			"empty signature":    {"token-web." + payload(`{"aud":["spillway.dev"],"exp":253402300799}`) + ".", false},
			"opaque":             {"token-web.", false},
		} {
			d := newDesk(t)
			want, reviews, unfit := auth.TypeUnrecognizedClient, 0, 1.0
			if test.fit {
				want, reviews, unfit = "allowed", 1, 0
			}
			if got := d.call(t, test.token); got != want {
				t.Errorf("%s: %s", name, got)
			}
			d.asks(t, reviews, reviews)
			if n := testutil.ToFloat64(d.unfit); n != unfit {
				t.Errorf("%s: %v were counted", name, n)
			}
		}
	})
}

func FuzzReviewable(f *testing.F) {
	f.Add(fit("token-web"))
	f.Add("a." + payload(`{"aud":"spillway.dev","exp":1e300}`) + ".c")
	f.Add("a." + payload(`{"aud":[["spillway.dev"]],"exp":1}`) + ".c")
	f.Fuzz(func(t *testing.T, token string) {
		now := time.Unix(1_800_000_000, 0)
		if reviewable(token, DefaultAudience, now) && !expiry(token).After(now.Add(-clockSkew)) {
			t.Errorf("ended %s", expiry(token))
		}
	})
}

// TestStrangersOutOfOrder: questions that come at once do not come in the order of their
// times, and none of that makes an allowance larger.
func TestStrangersOutOfOrder(t *testing.T) {
	s, began, admitted := newStrangers(), time.Now(), 0
	for n := range 10 * strangerBurst {
		at := began
		if n >= strangerBurst { // the first have used up what is there at once
			at = began.Add(time.Duration(n%2) * time.Second)
		}
		if s.admit("192.0.2.9:1", at) {
			admitted++
		}
	}
	if admitted != strangerBurst+strangerRate {
		t.Errorf("%d admitted within a second, want %d", admitted, strangerBurst+strangerRate)
	}
}

package kube

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	authorization "k8s.io/api/authorization/v1"

	"github.com/spillway-dev/spillway/auth"
)

// TestOutage serves those who are known for 5 minutes, on-prem only, and nobody else.
func TestOutage(t *testing.T) {
	for name, leave := range map[string]func(*stub){"refused": func(s *stub) { s.gone = true }, "silent": func(s *stub) { s.hangs = true }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				d.want(t, "token-web", "allowed")
				began := time.Now()
				d.with(func() { leave(d.stub) })
				stale := 0
				for time.Since(began) < 5*time.Minute-time.Second {
					got, age := d.call(t, "token-web"), time.Since(began)
					switch {
					case age < 30*time.Second && got != "allowed", age >= 30*time.Second && got != "allowed_stale":
						t.Fatalf("%s after %s", got, age)
					case got == "allowed_stale":
						stale++
					}
					time.Sleep(time.Second)
				}
				d.want(t, "token-new", auth.TypeUnavailable)
				if got := d.callOf(t, "token-web", "shop", "other"); got != auth.TypeUnavailable {
					t.Errorf("a permission that nobody asked for before: %s", got)
				}
				time.Sleep(5*time.Minute - time.Since(began))
				d.want(t, "token-web", auth.TypeUnavailable)
				if n := d.metric("permission", "stale"); stale < 200 || n < float64(stale) {
					t.Errorf("%d calls were stale, %v counted", stale, n)
				}
				d.with(func() { d.gone, d.hangs = false, false })
				d.want(t, "token-web", "allowed")
			})
		})
	}
}

// TestOutageIsNotWaitedFor: who is in use waits for no silent API server, and asks it
// about once a second at most.
func TestOutageIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.want(t, "token-web", "allowed")
		d.with(func() { d.hangs = true })
		for range 2500 {
			time.Sleep(100 * time.Millisecond)
			before := time.Now()
			d.call(t, "token-web")
			if waited := time.Since(before); waited != 0 {
				t.Fatalf("waited %s", waited)
			}
		}
		if tokens, access := d.counts(); tokens > 70 || access > 70 {
			t.Errorf("%d and %d reviews tried in 250 s", tokens, access)
		}
		time.Sleep(reviewTimeout) // of those that nobody waits for
	})
}

// TestRestartRefusesAll: what an API server says that has just started and not read its
// roles is not believed of those who were allowed, for a moment; later it is.
func TestRestartRefusesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		may := d.may
		d.want(t, "token-web", "allowed")
		d.with(func() { d.gone = true })
		time.Sleep(40 * time.Second)
		d.want(t, "token-web", "allowed_stale")
		refuses := func(*authorization.SubjectAccessReviewSpec) bool { return false }
		d.with(func() { d.gone, d.may = false, refuses })
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			d.want(t, "token-web", "allowed_stale")
		}
		d.with(func() { d.may = may })
		time.Sleep(time.Second)
		d.call(t, "token-web")
		time.Sleep(time.Second)
		d.want(t, "token-web", "allowed")
		d.with(func() { d.gone = true })
		time.Sleep(40 * time.Second)
		d.want(t, "token-web", "allowed_stale")
		d.with(func() { d.gone, d.may = false, refuses })
		time.Sleep(settling + time.Second)
		d.call(t, "token-web")
		time.Sleep(time.Second)
		d.want(t, "token-web", "denied")
	})
}

// TestQuietInOutage has thirty callers, one call a second of all together: only the first
// that finds the API server silent waits for it, and that once.
func TestQuietInOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for i := range 30 {
			d.want(t, fmt.Sprintf("token-%d", i), "allowed")
		}
		time.Sleep(70 * time.Second)
		d.with(func() { d.hangs = true })
		var waited time.Duration
		for i := range 180 {
			time.Sleep(time.Second)
			before := time.Now()
			d.want(t, fmt.Sprintf("token-%d", i%30), "allowed_stale")
			waited += time.Since(before)
		}
		if waited > reviewTimeout {
			t.Errorf("callers waited %s in all", waited)
		}
		time.Sleep(reviewTimeout) // for reviews that nobody waits for
	})
}

// TestFirstInOutageWaits 3 seconds and no longer: nothing said yet that the API server
// is silent.
func TestFirstInOutageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.want(t, "token-web", "allowed")
		time.Sleep(100 * time.Second)
		d.with(func() { d.hangs = true })
		began := time.Now()
		d.want(t, "token-web", "allowed_stale")
		if waited := time.Since(began); waited > reviewTimeout {
			t.Errorf("waited %s", waited)
		}
		began = time.Now()
		d.want(t, "token-new", auth.TypeUnavailable)
		if waited := time.Since(began); waited > reviewTimeout {
			t.Errorf("a stranger waited %s", waited)
		}
	})
}

// TestStaleIdentity has a permission that can be looked up, for an identity that cannot:
// it is on-prem only.
func TestStaleIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.want(t, "token-web", "allowed")
		d.with(func() { d.noTokens = true })
		time.Sleep(61 * time.Second)
		d.want(t, "token-web", "allowed_stale")
		synctest.Wait()
		d.asks(t, 2, 2)
		d.want(t, "token-web", "allowed_stale")
		if n := d.metric("permission", "stale"); n != 1 {
			t.Errorf("%v permissions were stale", n)
		}
	})
}

// TestAfterOutage asks at once again, and a no counts.
func TestAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.want(t, "token-web", "allowed")
		time.Sleep(70 * time.Second)
		d.with(func() { d.gone = true })
		d.want(t, "token-web", "allowed_stale")
		d.with(func() {
			d.gone, d.may = false, func(*authorization.SubjectAccessReviewSpec) bool { return false }
		})
		time.Sleep(2 * time.Minute) // nobody asked: what failed long ago is no outage
		d.want(t, "token-web", "denied")
		d.with(func() { d.gone = true })
		d.want(t, "token-web", "denied")
		time.Sleep(refusalOver)
		d.want(t, "token-web", auth.TypeUnavailable)
	})
}

const refusalOver = 6 * time.Second

// TestTokenEnds: a token that says when it ends is not served stale after that.
func TestTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		token := "token-web." + payload(fmt.Sprintf(`{"aud":"spillway.dev","exp":%d}`, time.Now().Add(2*time.Minute).Unix())) + ".sig"
		d.want(t, token, "allowed")
		d.with(func() { d.gone = true })
		time.Sleep(2*time.Minute - time.Second)
		d.want(t, token, "allowed_stale")
		time.Sleep(2 * time.Second)
		d.want(t, token, auth.TypeUnavailable)
	})
}

func TestExpiry(t *testing.T) {
	for token, want := range map[string]int64{
		"a." + payload(`{"exp":1700000000}`) + ".c":   1700000000,
		"a." + payload(`{"exp":1.7e9}`) + ".c":        1700000000,
		"a." + payload(`{"exp":1700000000.9}`) + ".c": 1700000000,
		"a." + payload(`{"exp":"soon"}`) + ".c":       0,
		"a." + payload(`{"exp":-1}`) + ".c":           0,
		"a." + payload(`{"exp":1e300}`) + ".c":        0,
		"a." + payload(`{}`) + ".c":                   0,
		"a." + payload(`{"exp":1700000000}`):          0,
		"opaque":                                      0,
		"a.%%%.c":                                     0,
		"":                                            0,
	} {
		got := expiry(token)
		if want == 0 && !got.IsZero() || want != 0 && got.Unix() != want {
			t.Errorf("%s ends %s, want %d", token, got, want)
		}
	}
}

func FuzzExpiry(f *testing.F) {
	f.Add("a." + payload(`{"exp":1700000000}`) + ".c")
	f.Add("a." + payload(`{"exp":1e300}`) + ".c")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		if end := expiry(token); !end.IsZero() && (end.Unix() < 0 || end.Year() > 9999) {
			t.Errorf("ends %s", end)
		}
	})
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer token-web")
	f.Add("bearer a b")
	f.Add("Basic x")
	f.Fuzz(func(t *testing.T, value string) {
		token, err := newDesk(t).bearer([]string{value})
		if (err == nil) != (token != "") || len(token) > maxToken {
			t.Errorf("%q, %v", token, err)
		}
	})
}

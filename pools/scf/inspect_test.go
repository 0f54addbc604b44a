package scf_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// unpaced lets every request go at once.
func unpaced(ctx context.Context) error { return ctx.Err() }

// handled is a function of the stand-in that nothing may run.
func handled(t *testing.T, name string) cloud.Function {
	return cloud.Function{Name: name, Qualifiers: map[string]string{"live": "7"}, MiB: 256, Timeout: 4 * time.Second, Env: []string{"PASSWORD=" + secret},
		Handle: func(context.Context, cloud.Event) ([]byte, error) { t.Error("a function was run"); return nil, nil }}
}

func TestInspect(t *testing.T) {
	kept := handled(t, "kept")
	none := 0
	kept.Reserved = &none
	_, url := standIn(t, handled(t, "fn"), kept)
	i := newPool(t, url).Inspector(unpaced)
	for name, want := range map[string]clouddrift.Found{
		"fn live":        {Version: "7"},
		"fn 7":           {Version: "7"},
		"fn $LATEST":     {Version: "$LATEST"},
		"fn $DEFAULT":    {Version: "$LATEST"},
		"fn ":            {Version: "$LATEST"},
		"fn old":         {Missing: clouddrift.MissingQualifier},
		"fn 9":           {Missing: clouddrift.MissingQualifier},
		"nobody live":    {Missing: clouddrift.MissingFunction},
		"nobody 7":       {Missing: clouddrift.MissingFunction},
		"nobody $LATEST": {Missing: clouddrift.MissingFunction},
	} {
		function, qualifier, _ := strings.Cut(name, " ")
		if want.Missing == "" {
			want.MiB, want.Timeout, want.InitTimeout, want.NoDigest = 256, 4*time.Second, 65*time.Second, "SCF tells no digest of the code"
		}
		if got, err := i.Function(t.Context(), function, qualifier); err != nil || got != want {
			t.Errorf("%s: %v: %+v, want %+v", name, err, got, want)
		}
	}
	if got, err := i.Function(t.Context(), "kept", "live"); err != nil || got.Reserved == nil || *got.Reserved != 0 {
		t.Errorf("%v: %+v", err, got)
	}
	if got, err := i.Account(t.Context()); err != nil || got != (clouddrift.Account{MemoryMiB: 128_000}) {
		t.Errorf("%v: %+v", err, got)
	}
}

// telling answers each action with its own response.
func telling(responses map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"Response":{%s"RequestId":"1-2"}}`, responses[r.Header.Get("X-TC-Action")])
	}
}

// TestInspectAnswers: odd descriptions, as an endpoint tells them.
func TestInspectAnswers(t *testing.T) {
	for extra, state := range map[string]string{
		`"Status":"Active","AvailableStatus":"Available",`: "", `"Status":"UpdateFailed",`: "UpdateFailed",
		`"Status":"canary",`: "a status that is not documented", `"Status":"Active","AvailableStatus":"canary",`: "suspended for billing",
	} {
		url := serve(t, telling(map[string]string{
			"GetAlias":    `"FunctionVersion":"3","RoutingConfig":{"AdditionalVersionWeights":[{"Version":"2","Weight":0.1}]},`,
			"GetFunction": `"MemorySize":128,"Timeout":3,` + extra,
		}))
		got, err := newPool(t, url).Inspector(unpaced).Function(t.Context(), "fn", "live")
		if err != nil || !got.Split || got.State != state || got.Version != "3" {
			t.Errorf("%s: %v: %+v", extra, err, got)
		}
	}
	for usage, want := range map[string]int64{
		`{"TotalConcurrencyMem":128000}`: 128_000, `{"TotalConcurrencyMem":128000,"UserConcurrencyMemLimit":64000}`: 64_000, `{}`: 0,
	} {
		url := serve(t, telling(map[string]string{"GetAccount": `"AccountUsage":` + usage + `,`}))
		got, err := newPool(t, url).Inspector(unpaced).Account(t.Context())
		if got.MemoryMiB != want || (err != nil) != (want == 0) {
			t.Errorf("%s: %v: %+v", usage, err, got)
		}
	}
}

// TestInspectFailures: errors name the action and SCF's code, never what an
// endpoint says, and nothing is asked twice.
func TestInspectFailures(t *testing.T) {
	refuse := func(code string) http.HandlerFunc {
		return telling(map[string]string{"GetFunction": fmt.Sprintf(`"Error":{"Code":%q,"Message":%q},`, code, secret)})
	}
	for name, test := range map[string]struct {
		h    http.HandlerFunc
		says string
	}{
		"denied":    {refuse("UnauthorizedOperation.CAM"), "UnauthorizedOperation.CAM: the pool's key needs the permission scf:GetFunction"},
		"other key": {refuse("AuthFailure.SignatureFailure"), "AuthFailure.SignatureFailure: the pool's key is wrong"},
		"throttled": {refuse("RequestLimitExceeded"), "RequestLimitExceeded: others"},
		"broken":    {refuse("InternalError.System"), "InternalError.System"},
		"invented":  {refuse(secret), "an error that is not Tencent's"},
		"no memory": {telling(nil), "not SCF's"},
		"garbage":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secret) }, "could not be read"},
		"status":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); fmt.Fprint(w, secret) }, "HTTP 502"},
		"hang up":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "could not be read"},
	} {
		var asked atomic.Int64
		url := serve(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); test.h(w, r) })
		_, err := newPool(t, url).Inspector(unpaced).Function(t.Context(), "fn", "7")
		if err == nil || errors.Is(err, clouddrift.ErrNoAnswer) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "GetFunction") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
	if _, err := newPool(t, "http://127.0.0.1:1").Inspector(unpaced).Account(t.Context()); !errors.Is(err, clouddrift.ErrNoAnswer) || !strings.Contains(err.Error(), "no connection to SCF for GetAccount") {
		t.Errorf("nobody there: %v", err)
	}
	closed := errors.New("closed")
	if _, err := newPool(t, "http://127.0.0.1:1").Inspector(func(context.Context) error { return closed }).Function(t.Context(), "fn", "live"); !errors.Is(err, closed) {
		t.Errorf("out of turn: %v", err)
	}
}

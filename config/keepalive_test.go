package config

import (
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

// TestKeepAlivePolicy loads each kind with its defaults and with parameters. A
// configuration without a policy has the fixed window.
func TestKeepAlivePolicy(t *testing.T) {
	for _, c := range []struct {
		text string
		want spillway.KeepAlivePolicy
	}{
		{"", spillway.KeepAlivePolicy{}},
		{", keepAlivePolicy: {}", spillway.KeepAlivePolicy{}},
		{", keepAlivePolicy: {kind: fixed}", spillway.KeepAlivePolicy{}},
		{", keepAlivePolicy: {kind: hybrid}", spillway.KeepAlivePolicy{Kind: spillway.KeepAliveHybrid, HeadPercent: 5, TailPercent: 99, MarginPercent: 10}},
		{", keepAlivePolicy: {kind: hybrid, head: 0, tail: 95, margin: 0}", spillway.KeepAlivePolicy{Kind: spillway.KeepAliveHybrid, TailPercent: 95}},
		{", keepAlivePolicy: {kind: forecast}", spillway.KeepAlivePolicy{Kind: spillway.KeepAliveForecast, Worth: 30 * time.Minute}},
		{", keepAlivePolicy: {kind: provisioned, share: 20}", spillway.KeepAlivePolicy{Kind: spillway.KeepAliveProvisioned, SharePercent: 20, Window: time.Hour}},
		{", keepAlivePolicy: {kind: windows}", spillway.KeepAlivePolicy{Kind: spillway.KeepAliveWindows, Stable: time.Minute, PanicPercent: 10, TargetPercent: 70}},
		{", keepAlivePolicy: {kind: windows, stable: 30s, panic: 20, target: 100}", spillway.KeepAlivePolicy{Kind: spillway.KeepAliveWindows, Stable: 30 * time.Second, PanicPercent: 20, TargetPercent: 100}},
	} {
		r := mustLoad(t, strings.Replace(twoPools, "region: here", "region: here, keepAlive: 7m"+c.text, 1)+function("f", "burst: deny"))
		pool := r.Platform.Pools[1]
		if pool.KeepAlivePolicy != c.want || pool.KeepAlive != 7*time.Minute {
			t.Errorf("%q: %+v, keepAlive %s; want %+v", c.text, pool.KeepAlivePolicy, pool.KeepAlive, c.want)
		}
	}
}

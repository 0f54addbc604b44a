package testplatform

import (
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
)

// keepAlive reads keep=hybrid, keep=forecast, keep=provisioned or keep=windows,
// with the parameters head, tail, margin, worth, share, window, stable, panic and target.
func keepAlive(o options) spillway.KeepAlivePolicy {
	switch kind := o.text("keep", "fixed"); kind {
	case "fixed":
		return spillway.KeepAlivePolicy{}
	case "hybrid":
		return spillway.KeepAlivePolicy{Kind: spillway.KeepAliveHybrid, HeadPercent: o.number("head", 5), TailPercent: o.number("tail", 99), MarginPercent: o.number("margin", 10)}
	case "forecast":
		return spillway.KeepAlivePolicy{Kind: spillway.KeepAliveForecast, Worth: o.duration("worth", "20m")}
	case "provisioned":
		return spillway.KeepAlivePolicy{Kind: spillway.KeepAliveProvisioned, SharePercent: o.number("share", 10), Window: o.duration("window", time.Hour.String())}
	case "windows":
		return spillway.KeepAlivePolicy{Kind: spillway.KeepAliveWindows, Stable: o.duration("stable", "60s"), PanicPercent: o.number("panic", 10), TargetPercent: o.number("target", 70)}
	default:
		panic(fmt.Sprintf("no keep-alive policy %s", kind))
	}
}

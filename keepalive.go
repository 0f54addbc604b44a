package spillway

import "time"

// KeepAliveKind says how the time is found for which an idle instance is kept.
type KeepAliveKind uint8

const (
	KeepAliveFixed       KeepAliveKind = iota // the pool's KeepAlive, for all; the default
	KeepAliveHybrid                           // from a histogram of idle times, head and tail
	KeepAliveForecast                         // by the chance of a call in each minute
	KeepAliveProvisioned                      // a share of the recent peak stays started
	KeepAliveWindows                          // by the mean of calls over two windows
	keepAliveKindCount
)

func (k KeepAliveKind) String() string {
	return [keepAliveKindCount]string{"fixed", "hybrid", "forecast", "provisioned", "windows"}[k]
}

// KeepAlivePolicy is a kind and the parameters of that kind; those of other kinds
// are zero. It is comparable: an equal policy goes on with what it has learned.
type KeepAlivePolicy struct {
	Kind KeepAliveKind

	// Hybrid: the head and tail of the idle times, and the margin on both, in percent.
	HeadPercent, TailPercent, MarginPercent int64
	// Forecast: how long an instance may be idle to spare one cold start.
	Worth time.Duration
	// Provisioned: the percentage of the peak of busy instances that stays started,
	// rounded up, and the time over which the peak is taken.
	SharePercent int64
	Window       time.Duration
	// Windows: the stable window, from 10 s to 1 h; the percentage of it at its end that
	// is the panic window, and how many percent of the calls that an instance takes at
	// once it is to have; both from 1 to 100.
	Stable                      time.Duration
	PanicPercent, TargetPercent int64
}

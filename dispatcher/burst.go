package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
)

// burstState is what one burst policy has let into clouds.
type burstState struct {
	policy   *spillway.BurstPolicy
	purse    int // see quota.Ask
	inFlight int64
	share    *share
	pending  int64 // MiB-milliseconds in clouds at their worst case, not ended

	// Hysteresis: open while calls may overflow; when on-prem became full, and when
	// it became calm, zero if it is not.
	open                 bool
	fullSince, calmSince spillway.Instant
	lastFull             spillway.Instant

	minute   int64 // for which windowOpen holds
	windowOK bool

	shadow ShadowView
}

// ShadowView is what a burst policy in shadow mode would have sent to clouds.
type ShadowView struct {
	Calls   int64         `json:"calls"`
	Refused int64         `json:"refused"` // of Calls, those that had no place on-prem either
	Cost    spillway.Nano `json:"costNano"`
}

// burst is the state of f's burst policy. f may be of an earlier platform, and its
// policy gone; what is counted then is forgotten.
func (e *Engine) burst(f *spillway.Function) *burstState {
	if f.Platform == e.platform {
		return e.bursts[f.Policy]
	}
	policy := &f.Platform.BurstPolicies[f.Policy]
	for _, b := range e.bursts {
		if b.policy.Name == policy.Name {
			return b
		}
	}
	return &burstState{policy: policy}
}

// closed reports what keeps a policy from sending anything to a cloud, whoever
// asks.
func (b *burstState) closed(now spillway.Instant) spillway.LimitKind {
	switch {
	case b.policy.KillSwitch:
		return spillway.LimitKillSwitch
	case !b.inWindow(now):
		return spillway.LimitBurstWindow
	}
	return spillway.LimitNone
}

func (b *burstState) inWindow(now spillway.Instant) bool {
	if len(b.policy.Windows) == 0 {
		return true
	}
	if minute := int64(now) / int64(time.Minute); minute != b.minute {
		b.minute, b.windowOK = minute, false
		for i := range b.policy.Windows {
			b.windowOK = b.windowOK || b.policy.Windows[i].Holds(now)
		}
	}
	return b.windowOK
}

// windowAt is when a policy that is closed should be asked again, or Never if time does
// not open it. Windows begin with a minute.
func (b *burstState) windowAt(now spillway.Instant) spillway.Instant {
	if b.closed(now) != spillway.LimitBurstWindow {
		return spillway.Never
	}
	return spillway.Instant((b.minute + 1) * int64(time.Minute))
}

// opensAt is when calls that find on-prem full since fullSince may overflow.
func (b *burstState) opensAt(now spillway.Instant) spillway.Instant {
	since := b.fullSince
	if since == 0 {
		since = now
	}
	return since.Add(b.policy.Hysteresis.OpenAfter)
}

// fits reports whether the policy lets one more call into a cloud. overflow is set
// if on-prem was asked first and had no room.
func (b *burstState) fits(now spillway.Instant, overflow bool, worst int64, fit *placement.Fit) bool {
	if kind := b.closed(now); kind != spillway.LimitNone {
		b.block(fit, placement.FilterClosed, spillway.Limit{Kind: kind})
		return false
	}
	if overflow && !b.open && now < b.opensAt(now) {
		after := b.policy.Hysteresis.OpenAfter
		b.block(fit, placement.FilterCapacity, spillway.Limit{Kind: spillway.LimitHysteresis, Used: (after - b.opensAt(now).Sub(now)).Milliseconds(), Max: after.Milliseconds()})
		return false
	}
	if b.inFlight >= b.policy.MaxBurstConcurrency {
		b.block(fit, placement.FilterCapacity, spillway.Limit{Kind: spillway.LimitBurst, Dim: spillway.DimSlots, Used: b.inFlight, Need: 1, Max: b.policy.MaxBurstConcurrency})
		return false
	}
	if b.share == nil {
		return true
	}
	percent, ok := b.share.check(now, b.pending+worst)
	if !ok {
		b.block(fit, placement.FilterCapacity, spillway.Limit{Kind: spillway.LimitBurstShare, Used: percent, Max: b.share.limit.Percent})
	}
	return ok
}

func (b *burstState) block(fit *placement.Fit, filter placement.Filter, l spillway.Limit) {
	l.Name, l.Class = b.policy.Name, spillway.ClassCloud
	*fit = placement.Fit{Filter: filter, Limit: l}
}

// observe takes what a placement found on-prem: full, or room, and then whether
// the pools are calm.
func (b *burstState) observe(now spillway.Instant, full bool, calm bool) {
	if full {
		b.calmSince = 0
		// Nobody asked for a while: it may have had room in between.
		if gap := b.policy.Hysteresis.OpenAfter + time.Second; b.fullSince == 0 || now >= b.lastFull.Add(gap) && !b.open {
			b.fullSince = now
		}
		b.lastFull = now
		b.open = b.open || now >= b.opensAt(now)
		return
	}
	b.fullSince = 0
	switch {
	case !b.open:
	case !calm:
		b.calmSince = 0
	case b.calmSince == 0 && b.policy.Hysteresis.CloseAfter > 0:
		b.calmSince = now
	case now >= b.calmSince.Add(b.policy.Hysteresis.CloseAfter):
		b.open, b.calmSince = false, 0
	}
}

// start and end count one cloud attempt, and what it used: its worst case if that
// is not known.
func (b *burstState) start(now spillway.Instant, worst int64) {
	b.inFlight++
	b.pending += worst
	if b.share != nil {
		b.share.add(now, work{calls: 1, cloudCalls: 1})
	}
}

func (b *burstState) end(now spillway.Instant, worst, mib int64, u *spillway.Usage) {
	b.inFlight--
	b.pending -= worst
	if b.share != nil {
		used := worst
		if u != nil {
			used = usedMiBMillis(mib, u)
		}
		b.share.add(now, work{mibMillis: used, cloudMiBMillis: used})
	}
}

// onPremStart and onPremEnd count an on-prem attempt.
func (b *burstState) onPremStart(now spillway.Instant) {
	if b.share != nil {
		b.share.add(now, work{calls: 1})
	}
}

func (b *burstState) onPremEnd(now spillway.Instant, mib int64, u *spillway.Usage) {
	if b.share != nil {
		b.share.add(now, work{mibMillis: usedMiBMillis(mib, u)})
	}
}

// worst is the most MiB-milliseconds that one attempt of f on a cloud pool can
// use; zero where nothing counts them.
func (b *burstState) worst(f *spillway.Function, p *spillway.Pool) int64 {
	if b.share == nil {
		return 0
	}
	t := &f.Bindings[p.Index]
	return t.MiB * (t.Timeout + p.InitTimeout).Milliseconds()
}

// usedMiBMillis is what an attempt that ended has used.
func usedMiBMillis(mib int64, u *spillway.Usage) int64 {
	if u.MemoryMiB > 0 {
		mib = u.MemoryMiB
	}
	if u.BilledMillis > 0 {
		return mib * u.BilledMillis
	}
	return mib * (u.DurationMicros / 1000)
}

// countShadow adds a call that shadow mode kept from a cloud to its policy: at
// what it would have cost there for the time it took here, or for the worst case
// if it had no place at all.
func (e *Engine) countShadow(r *record) {
	d := r.d
	if d.ShadowPool == 0 {
		return
	}
	f := d.Call.Function
	b, v := &f.Bindings[d.ShadowPool-1], &e.burst(f).shadow
	v.Calls++
	cost := b.WorstCase
	if d.Refusal != spillway.ReasonNone {
		v.Refused++
	} else if n, err := b.Rate.CeilNano(b.Rate.BilledMillis((d.Last().Outcome.Usage.DurationMicros+999)/1000), spillway.Resources{MiB: b.MiB}); err == nil {
		cost = n
	}
	if sum, err := spillway.AddNano(v.Cost, cost); err == nil {
		v.Cost = sum
	}
}

package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
)

// View is what an Engine holds at one moment, for people and metrics.
type View struct {
	InFlight int         `json:"inFlight"` // admitted and not answered
	Unknown  int         `json:"unknown"`  // attempts that may still be running
	Waiting  int         `json:"waiting"`  // for a place
	Jobs     JobsView    `json:"jobs"`
	Pools    []PoolView  `json:"pools"`
	Quotas   []QuotaView `json:"quotas"`
	Bursts   []BurstView `json:"bursts"`
}

// BurstView is what one burst policy does now.
type BurstView struct {
	Name string `json:"name"`
	// State is open, closed (hysteresis), outside_windows, kill_switch or shadow;
	// on_prem_only for a policy that uses no cloud.
	State        string       `json:"state"`
	InFlight     int64        `json:"inFlight"`
	MaxInFlight  int64        `json:"maxInFlight"` // -1 if not limited
	SharePercent *int64       `json:"sharePercent,omitempty"`
	ShareLimit   *int64       `json:"shareLimit,omitempty"`
	Spend        []BudgetView `json:"spend,omitempty"`
	Shadow       *ShadowView  `json:"shadow,omitempty"`
}

// PoolView is the use of one pool.
type PoolView struct {
	Name    string `json:"name"`
	Cloud   bool   `json:"cloud"`
	Retired bool   `json:"retired,omitempty"`
	// Breaker says that calls are kept away because too many failed.
	Breaker  bool  `json:"breakerOpen,omitempty"`
	Running  int64 `json:"running"`            // attempts; in a cloud also those with an unknown outcome
	Idle     int64 `json:"idle,omitempty"`     // instances
	Starting int64 `json:"starting,omitempty"` // instances, also those that wait for room
	Slots    int64 `json:"slots"`              // capacity, or the concurrency of a cloud; 0 if not limited
	// Offline is what an offline pool has, and what of it jobs and instances hold.
	Offline *OfflineView `json:"offline,omitempty"`
}

// QuotaView is the use of one quota node.
type QuotaView struct {
	Name    string       `json:"name"`
	Parent  string       `json:"parent,omitempty"`
	OnPrem  UseView      `json:"onPrem"`
	Cloud   UseView      `json:"cloud"`
	Offline UseView      `json:"offline"`
	Budgets []BudgetView `json:"budgets,omitempty"`
}

// UseView is slots in use, what may be used (-1 if not limited), and what of it is
// borrowed or kept.
type UseView struct {
	Used     int64 `json:"used"`
	Limit    int64 `json:"limit"`              // its nominal
	Borrowed int64 `json:"borrowed,omitempty"` // used above the nominal
	MayTake  int64 `json:"headroom"`           // before the node's own limit, borrowing included
	Keeps    int64 `json:"keeps,omitempty"`    // that others may not use

	// CPU and memory, where they are limited; the fields above are slots.
	MilliCPU *UseView `json:"milliCPU,omitempty"`
	MiB      *UseView `json:"MiB,omitempty"`
}

// BudgetView is money of the current window.
type BudgetView struct {
	Window   string        `json:"window"`
	From     time.Time     `json:"from"` // of the current window
	Spent    spillway.Nano `json:"spentNano"`
	Reserved spillway.Nano `json:"reservedNano"`
	Limit    spillway.Nano `json:"limitNano"`
}

// View reports what is held at now. It changes nothing that decides.
func (e *Engine) View(now spillway.Instant) View {
	v := View{InFlight: e.inFlight, Unknown: e.openLive}
	for i := range e.tenants {
		v.Waiting += e.tenants[i].count
		if t := e.idlers[i]; t != nil {
			v.Waiting += t.calls()
		}
	}
	v.Jobs = e.jobsView()
	for i, p := range e.platform.Pools {
		v.Pools = append(v.Pools, e.poolView(i, p))
	}
	for i, q := range e.platform.Quotas {
		v.Quotas = append(v.Quotas, e.quotaView(now, i, &q))
	}
	for _, b := range e.bursts {
		v.Bursts = append(v.Bursts, e.burstView(now, b))
	}
	return v
}

func (e *Engine) poolView(i int, p *spillway.Pool) PoolView {
	v := PoolView{Name: p.Name, Cloud: p.Kind.Cloud(), Retired: p.Retired}
	if v.Cloud {
		v.Breaker = e.clouds[i].breaker.until != 0
		v.Running, v.Slots = e.clouds[i].inFlight, p.Limits.Concurrency
		return v
	}
	v.Slots = e.onPrem[i].capacity.Slots
	if p.Kind == spillway.PoolOffline {
		v.Running, v.Offline = int64(e.onPrem[i].jobs), offlineView(e.onPrem[i])
	}
	for _, in := range e.onPrem[i].live {
		switch in.state {
		case busy:
			v.Running++
		case idle:
			v.Idle++
		case starting:
			v.Starting++
		}
	}
	v.Starting += int64(len(e.onPrem[i].pending))
	return v
}

// Instances counts the instances that are started, by function and revision.
func (e *Engine) Instances() map[spillway.FunctionKey]map[string]int64 {
	all := map[spillway.FunctionKey]map[string]int64{}
	for i, p := range e.platform.Pools {
		if p.Kind.Cloud() {
			continue
		}
		for _, in := range e.onPrem[i].live {
			if in.state != busy && in.state != idle {
				continue
			}
			of := all[in.of.fn.FunctionKey]
			if of == nil {
				of = map[string]int64{}
				all[in.of.fn.FunctionKey] = of
			}
			of[in.of.fn.Revision]++
		}
	}
	return all
}

func (e *Engine) quotaView(now spillway.Instant, i int, q *spillway.QuotaNode) QuotaView {
	v := QuotaView{Name: q.Name}
	if q.Parent >= 0 {
		v.Parent = e.platform.Quotas[q.Parent].Name
	}
	v.OnPrem, v.Cloud, v.Offline = e.useView(i, q, spillway.ClassOnPrem), e.useView(i, q, spillway.ClassCloud), e.useView(i, q, spillway.ClassOffline)
	for b, budget := range q.Budgets {
		spent, reserved := e.quota.Spending(i, b, now)
		v.Budgets = append(v.Budgets, budgetView(now, &budget, spent, reserved))
	}
	return v
}

func budgetView(now spillway.Instant, b *spillway.Budget, spent, reserved spillway.Nano) BudgetView {
	from, _ := b.Window.Bounds(now, b.Location)
	return BudgetView{b.Window.String(), from.Time(), spent, reserved, b.Limit}
}

func (e *Engine) useView(node int, q *spillway.QuotaNode, class spillway.Class) UseView {
	used, nominal, room := e.quota.Used(node, class), q.Nominal[class], e.quota.Headroom(node, class)
	of := func(d spillway.Dimension) UseView {
		return UseView{Used: used.Of(d), Limit: orMinus(nominal.Of(d)), MayTake: orMinus(room.Of(d)),
			Borrowed: max(0, used.Of(d)-nominal.Of(d)), Keeps: q.Keep[class].Of(d)}
	}
	v := of(spillway.DimSlots)
	if nominal.MilliCPU != spillway.Unlimited {
		cpu := of(spillway.DimMilliCPU)
		v.MilliCPU = &cpu
	}
	if nominal.MiB != spillway.Unlimited {
		memory := of(spillway.DimMiB)
		v.MiB = &memory
	}
	return v
}

func orMinus(n int64) int64 {
	if n == spillway.Unlimited {
		return -1
	}
	return n
}

func (e *Engine) burstView(now spillway.Instant, b *burstState) BurstView {
	v := BurstView{Name: b.policy.Name, State: b.state(now), InFlight: b.inFlight, MaxInFlight: orMinus(b.policy.MaxBurstConcurrency)}
	if b.share != nil {
		percent := b.share.percent(now)
		v.SharePercent, v.ShareLimit = &percent, &b.share.limit.Percent
	}
	for i, budget := range b.policy.Spend {
		spent, reserved := e.quota.Spending(b.purse-1, i, now)
		v.Spend = append(v.Spend, budgetView(now, &budget, spent, reserved))
	}
	if b.policy.Shadow {
		shadow := b.shadow
		v.Shadow = &shadow
	}
	return v
}

// state names what a policy does with a call that would overflow now.
func (b *burstState) state(now spillway.Instant) string {
	switch {
	case b.policy.Mode == spillway.ModeOnPremOnly:
		return "on_prem_only"
	case b.policy.KillSwitch:
		return "kill_switch"
	case !b.inWindow(now):
		return "outside_windows"
	case b.policy.Shadow:
		return "shadow"
	case b.policy.Hysteresis.OpenAfter > 0 && !b.open:
		return "closed"
	}
	return "open"
}

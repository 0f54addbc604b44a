package dispatcher

import "github.com/spillway-dev/spillway"

// View is what an Engine holds at one moment, for people and metrics.
type View struct {
	InFlight int         `json:"inFlight"` // admitted and not answered
	Unknown  int         `json:"unknown"`  // attempts that may still be running
	Waiting  int         `json:"waiting"`  // for a place
	Pools    []PoolView  `json:"pools"`
	Quotas   []QuotaView `json:"quotas"`
}

// PoolView is the use of one pool.
type PoolView struct {
	Name     string `json:"name"`
	Cloud    bool   `json:"cloud"`
	Running  int64  `json:"running"`            // attempts; in a cloud also those with an unknown outcome
	Idle     int64  `json:"idle,omitempty"`     // instances
	Starting int64  `json:"starting,omitempty"` // instances, also those that wait for room
	Slots    int64  `json:"slots"`              // capacity, or the concurrency of a cloud; 0 if not limited
}

// QuotaView is the use of one quota node.
type QuotaView struct {
	Name    string       `json:"name"`
	Parent  string       `json:"parent,omitempty"`
	OnPrem  UseView      `json:"onPrem"`
	Cloud   UseView      `json:"cloud"`
	Budgets []BudgetView `json:"budgets,omitempty"`
}

// UseView is slots in use and their limit, -1 if not limited.
type UseView struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"`
}

// BudgetView is money of the current window.
type BudgetView struct {
	Window   string        `json:"window"`
	Spent    spillway.Nano `json:"spentNano"`
	Reserved spillway.Nano `json:"reservedNano"`
	Limit    spillway.Nano `json:"limitNano"`
}

// View reports what is held at now. It changes nothing that decides.
func (e *Engine) View(now spillway.Instant) View {
	v := View{InFlight: e.inFlight, Unknown: e.openLive}
	for i := range e.tenants {
		v.Waiting += e.tenants[i].count
	}
	for i, p := range e.platform.Pools {
		v.Pools = append(v.Pools, e.poolView(i, p))
	}
	for i, q := range e.platform.Quotas {
		v.Quotas = append(v.Quotas, e.quotaView(now, i, &q))
	}
	return v
}

func (e *Engine) poolView(i int, p *spillway.Pool) PoolView {
	v := PoolView{Name: p.Name, Cloud: p.Kind.Cloud()}
	if v.Cloud {
		v.Running, v.Slots = e.clouds[i].inFlight, p.Limits.Concurrency
		return v
	}
	v.Slots = p.Capacity.Slots
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

func (e *Engine) quotaView(now spillway.Instant, i int, q *spillway.QuotaNode) QuotaView {
	v := QuotaView{Name: q.Name}
	if q.Parent >= 0 {
		v.Parent = e.platform.Quotas[q.Parent].Name
	}
	use := func(class spillway.Class) UseView {
		u := UseView{e.quota.Used(i, class).Slots, q.Nominal[class].Slots}
		if u.Limit == spillway.Unlimited {
			u.Limit = -1
		}
		return u
	}
	v.OnPrem, v.Cloud = use(spillway.ClassOnPrem), use(spillway.ClassCloud)
	for b, budget := range q.Budgets {
		spent, reserved := e.quota.Spending(i, b, now)
		v.Budgets = append(v.Budgets, BudgetView{budget.Window.String(), spent, reserved, budget.Limit})
	}
	return v
}

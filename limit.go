package spillway

import "fmt"

// LimitKind says what sort of limit decided.
type LimitKind uint8

const (
	LimitNone        LimitKind = iota
	LimitQuota                 // a quota node's nominal
	LimitBudget                // a quota node's money budget
	LimitNoBudget              // no budget covers the namespace, so nothing may be spent
	LimitCapacity              // an on-prem pool's capacity
	LimitConcurrency           // a cloud account's concurrency
	LimitRamp                  // a cloud's growth of environments per 10 s
	LimitRequestRate           // a cloud's requests per second
	LimitThrottled             // the provider asked us to back off
	LimitBurst                 // a burst policy's maxBurstConcurrency
	LimitWaiting               // calls of one namespace that may wait at once
	LimitLedger                // the ledger cannot take a record now
	limitKindCount
)

var limitKindNames = [limitKindCount]string{"none", "quota", "budget", "no_budget", "capacity", "concurrency", "ramp",
	"request_rate", "throttled", "max_burst_concurrency", "waiting", "ledger"}

func (k LimitKind) String() string { return limitKindNames[k] }

// MarshalText writes the name.
func (k LimitKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a name as String writes it; unknown names become LimitNone.
func (k *LimitKind) UnmarshalText(text []byte) error {
	*k = LimitNone
	for i, name := range limitKindNames {
		if name == string(text) {
			*k = LimitKind(i)
		}
	}
	return nil
}

// Limit is the exact limit that kept a call from a pool. Used, Need and Max are
// in the dimension's unit; for budgets in Nano.
type Limit struct {
	Kind   LimitKind
	Name   string // the quota node, pool or burst policy
	Class  Class
	Dim    Dimension
	Window Window
	Used   int64
	Need   int64
	Max    int64
}

// String says the limit as a person would want it in an error.
func (l Limit) String() string {
	switch l.Kind {
	case LimitNone:
		return ""
	case LimitQuota:
		return fmt.Sprintf("quota %s, %s %s: %d of %d in use, %d needed", l.Name, l.Class, l.Dim, l.Used, l.Max, l.Need)
	case LimitBudget:
		return fmt.Sprintf("budget of %s per %s: %s of %s spent or reserved, %s needed",
			l.Name, l.Window, Nano(l.Used), Nano(l.Max), Nano(l.Need))
	case LimitNoBudget:
		return "no budget covers namespace " + l.Name + ", so it may not spend"
	case LimitCapacity:
		return fmt.Sprintf("capacity of pool %s, %s: %d of %d in use, %d needed", l.Name, l.Dim, l.Used, l.Max, l.Need)
	case LimitThrottled:
		return "pool " + l.Name + " asked to be left alone for a while"
	case LimitLedger:
		return "the ledger cannot take a record now"
	default:
		return fmt.Sprintf("%s of %s: %d of %d in use", l.Kind, l.Name, l.Used, l.Max)
	}
}

// String writes an amount with nine decimals, without a currency.
func (n Nano) String() string {
	sign, u := "", uint64(n)
	if n < 0 {
		sign, u = "-", uint64(-n)
	}
	return fmt.Sprintf("%s%d.%09d", sign, u/1e9, u%1e9)
}

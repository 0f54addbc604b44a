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
	LimitRampMinute            // a cloud's growth of environments per minute
	LimitRequestRate           // a cloud's requests per second
	LimitThrottled             // the provider asked us to back off
	LimitBurst                 // a burst policy's maxBurstConcurrency
	LimitWaiting               // calls of one namespace that may wait at once
	LimitLedger                // the ledger cannot take a record now
	LimitBurstShare            // a burst policy's maxBurstShare
	LimitBurstSpend            // a burst policy's maxBurstSpend
	LimitHysteresis            // on-prem has not been full for long enough
	LimitBurstWindow           // outside a burst policy's windows
	LimitKillSwitch            // a burst policy's kill switch
	LimitShadow                // a burst policy in shadow mode
	LimitBreaker               // a cloud pool, or a function on it, has failed too often
	LimitRetryBudget           // placements that were repeated
	LimitShutdown              // the server is ending
	LimitRemoved               // the function is not in the configuration any more
	LimitPermission            // whether the caller may still invoke cannot be looked up, so no cloud is used
	LimitPoolQuota             // a quota of the pool itself, such as a ResourceQuota of a cluster
	LimitPlace                 // an on-prem pool that found no machine with room for an instance
	limitKindCount
)

var limitKindNames = [limitKindCount]string{"none", "quota", "budget", "no_budget", "capacity", "concurrency", "ramp", "ramp_per_minute",
	"request_rate", "throttled", "max_burst_concurrency", "waiting", "ledger", "max_burst_share", "max_burst_spend", "hysteresis",
	"burst_window", "kill_switch", "shadow", "breaker", "retry_budget", "shutdown", "removed", "permission", "pool_quota", "place"}

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
	Name   string // the quota node, pool, burst policy or function
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
	case LimitBurstShare:
		return fmt.Sprintf("maxBurstShare of %s: %d%% of the work would be in clouds, at most %d%% may", l.Name, l.Used, l.Max)
	case LimitBurstSpend:
		return fmt.Sprintf("maxBurstSpend of %s per %s: %s of %s spent or reserved, %s needed",
			l.Name, l.Window, Nano(l.Used), Nano(l.Max), Nano(l.Need))
	case LimitHysteresis:
		return fmt.Sprintf("bursting under %s opens when on-prem has been full for %d ms; it has been for %d ms", l.Name, l.Max, l.Used)
	case LimitBurstWindow:
		return "it is outside the burst windows of " + l.Name
	case LimitKillSwitch:
		return "the kill switch of " + l.Name + " is on"
	case LimitShadow:
		return l.Name + " is in shadow mode: it would have gone to a cloud"
	case LimitBreaker:
		return fmt.Sprintf("%s failed %d of its last %d calls and is left alone for a while", l.Name, l.Used, l.Need)
	case LimitRetryBudget:
		return "too many calls had to be placed again lately"
	case LimitShutdown:
		return "the server is ending"
	case LimitRemoved:
		return "function " + l.Name + " was removed while the call waited"
	case LimitPoolQuota:
		return "a quota of pool " + l.Name + " itself, which Spillway does not set, refused its instance"
	case LimitPlace:
		if l.Need > 0 {
			return "pool " + l.Name + " has no place as large as it asks for"
		}
		return "pool " + l.Name + " has found no place for its instance"
	case LimitPermission:
		return "whether its caller may still invoke it cannot be looked up now, and until then it goes to no cloud"
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

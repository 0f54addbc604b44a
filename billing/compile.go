package billing

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/spillway-dev/spillway"
)

// hoursPerMonth spreads monthly costs, as cloud prices do.
const hoursPerMonth = 730

type faults []error

func (f *faults) add(path, problem, allowed string) {
	*f = append(*f, &SpecError{path, problem, allowed})
}

// decimal reads an optional amount; orElse stands for an empty one.
func (f *faults) decimal(path, text, orElse string) *big.Rat {
	if text == "" {
		text = orElse
	}
	value, err := ParseDecimal(text)
	if err != nil {
		f.add(path, err.Error(), "")
		return new(big.Rat)
	}
	return value
}

func (f *faults) femto(path, text string) *big.Rat {
	n, err := ParseFemto(text)
	if err != nil {
		f.add(path, err.Error(), "")
	}
	return new(big.Rat).SetFrac64(int64(n), 1e15)
}

func isCurrency(s string) bool {
	return len(s) == 3 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func compilePlan(spec PlanSpec, path string, f *faults) plan {
	p := plan{PlanSpec: spec, request: new(big.Rat), cpu: new(big.Rat), memory: new(big.Rat), hourly: new(big.Rat)}
	for _, required := range [][2]string{{"plan", spec.Plan}, {"version", spec.Version}, {"source", spec.Source}} {
		if required[1] == "" {
			f.add(path+"."+required[0], "is missing", "")
		}
	}
	if !isCurrency(spec.Currency) {
		f.add(path+".currency", fmt.Sprintf("%q is not a currency code", spec.Currency), "three capital letters, such as USD")
	}
	if !spec.ValidTo.IsZero() && !spec.ValidTo.After(spec.ValidFrom) {
		f.add(path+".validTo", "is not after validFrom", "")
	}
	p.rate = spillway.Rate{IncrementMillis: max(spec.IncrementMillis, 1), MinimumMillis: spec.MinimumMillis}
	const longest = 24 * 3600 * 1000
	if min(spec.IncrementMillis, spec.MinimumMillis) < 0 || max(spec.IncrementMillis, spec.MinimumMillis) > longest {
		f.add(path+".incrementMillis", "increment and minimum are out of range", fmt.Sprintf("0 to %d ms", longest))
	}
	switch spec.Kind {
	case PlanLambda, PlanSCF:
		p.lambda(path, f)
	case PlanOwned:
		p.owned(path, f)
	default:
		f.add(path+".kind", fmt.Sprintf("%q is not a kind of plan", spec.Kind), string(PlanLambda)+", "+string(PlanSCF)+", "+string(PlanOwned))
	}
	return p
}

func (p *plan) lambda(path string, f *faults) {
	p.request = f.femto(path+".perRequest", p.PerRequest)
	p.memory = f.femto(path+".perGiBSecond", p.PerGiBSecond)
	if p.Owned != nil {
		f.add(path+".owned", "a plan paid per call owns nothing", "kind: owned")
	}
}

// owned derives the unit prices of owned machines; see OwnedSpec.
func (p *plan) owned(path string, f *faults) {
	if p.PerRequest != "" || p.PerGiBSecond != "" {
		f.add(path+".perRequest", "an owned plan has no price per call", "owned.hourly or owned.node")
	}
	o := p.Owned
	if o == nil {
		f.add(path+".owned", "is missing", "hourly or node, with what is allocatable")
		return
	}
	path += ".owned"
	switch {
	case (o.Hourly == "") == (o.Node == nil):
		f.add(path, "needs one of hourly and node", "exactly one")
	case o.Node != nil:
		p.hourly = o.Node.hourly(path+".node", f)
	default:
		p.hourly = f.decimal(path+".hourly", o.Hourly, "0")
	}
	if o.AllocatableMilliCPU <= 0 || o.AllocatableMiB <= 0 {
		f.add(path+".allocatable", "cpu and memory must both be more than 0", "")
		return
	}
	utilisation := f.decimal(path+".targetUtilisation", o.TargetUtilisation, "1")
	if utilisation.Sign() <= 0 || utilisation.Cmp(ratOf(1)) > 0 {
		f.add(path+".targetUtilisation", "is out of range", "more than 0, at most 1")
		return
	}
	p.split(f.decimal(path+".cpuWeight", o.CPUWeight, "7.46"), f.decimal(path+".memoryWeight", o.MemoryWeight, "1"), utilisation, path, f)
}

// split divides the hourly cost between cpu and memory by weight.
func (p *plan) split(cpu, memory, utilisation *big.Rat, path string, f *faults) {
	cores := big.NewRat(p.Owned.AllocatableMilliCPU, 1000)
	gib := big.NewRat(p.Owned.AllocatableMiB, 1024)
	units := cores.Mul(cores, cpu)
	units.Add(units, gib.Mul(gib, memory))
	if units.Sign() == 0 {
		f.add(path+".cpuWeight", "both weights are 0", "")
		return
	}
	second := new(big.Rat).Quo(p.hourly, units.Mul(units, utilisation))
	second.Quo(second, ratOf(3600))
	p.cpu.Mul(second, cpu)
	p.memory.Mul(second, memory)
	for _, price := range [3]*big.Rat{p.cpu, p.memory, p.hourly} {
		if _, err := ceilScaled(price, 1e15); err != nil {
			f.add(path, "costs more than 9223 an hour, or a second of it does", "")
			return
		}
	}
}

// hourly amortises the cost of all machines; see NodeSpec.
func (n *NodeSpec) hourly(path string, f *faults) *big.Rat {
	purchase := f.decimal(path+".purchase", n.Purchase, "0")
	salvage := f.decimal(path+".salvage", n.Salvage, "0")
	pue := f.decimal(path+".pue", n.PUE, "1")
	if salvage.Cmp(purchase) > 0 {
		f.add(path+".salvage", "is more than purchase", "")
	}
	if n.LifeMonths <= 0 {
		f.add(path+".lifeMonths", "is missing or not positive", "1 or more, such as 36 or 60")
		return new(big.Rat)
	}
	if pue.Cmp(ratOf(1)) < 0 {
		f.add(path+".pue", "is out of range", "1 or more")
	}
	if n.Count < 0 {
		f.add(path+".count", "is negative", "1 or more")
	}
	month := new(big.Rat).Sub(purchase, salvage)
	month.Quo(month, ratOf(n.LifeMonths))
	power := f.decimal(path+".powerKW", n.PowerKW, "0")
	power.Mul(power, pue).Mul(power, f.decimal(path+".tariffPerKWh", n.TariffPerKWh, "0"))
	month.Add(month, power.Mul(power, ratOf(hoursPerMonth)))
	month.Add(month, f.decimal(path+".rackPerMonth", n.RackPerMonth, "0"))
	care := f.decimal(path+".maintenancePercentPerYear", n.MaintenancePercentPerYear, "0")
	month.Add(month, care.Mul(care, purchase).Quo(care, ratOf(100*12)))
	month.Add(month, f.decimal(path+".otherPerMonth", n.OtherPerMonth, "0"))
	month.Mul(month, ratOf(max(n.Count, 1)))
	return month.Quo(month, ratOf(hoursPerMonth))
}

func compileExchange(spec ExchangeRate, path string, f *faults) exchange {
	x := exchange{ExchangeRate: spec, rate: f.decimal(path+".rate", spec.Rate, "0")}
	if x.rate.Sign() == 0 {
		f.add(path+".rate", "must be more than 0", "")
	}
	for _, c := range [][2]string{{"from", spec.From}, {"to", spec.To}} {
		if !isCurrency(c[1]) {
			f.add(path+"."+c[0], fmt.Sprintf("%q is not a currency code", c[1]), "three capital letters, such as USD")
		}
	}
	if spec.From == spec.To {
		f.add(path+".to", "is the same currency", "")
	}
	if !spec.ValidTo.IsZero() && !spec.ValidTo.After(spec.ValidFrom) {
		f.add(path+".validTo", "is not after validFrom", "")
	}
	return x
}

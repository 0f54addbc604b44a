package config

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

func checkPolicy(e entry[v1alpha1.BurstPolicy]) {
	spec := &e.object.Spec
	e.oneOf("spec.mode", spec.Mode, []string{"OnPremOnly", "Hybrid", "CloudOnly", "Offline"})
	if e.written("spec.order") {
		e.labels("spec.order", spec.Order, spillway.MaxPools)
	}
	e.oneOf("spec.reservedConcurrency", spec.ReservedConcurrency, []string{"Off", "Show", "Write"})
	e.count("spec.maxBurstConcurrency", spec.MaxBurstConcurrency, 0, maxCount)
	e.duration("spec.onPremWaitBudget", spec.OnPremWaitBudget, 0, 60*second)
	e.labels("spec.regions", spec.Regions, maxRegions)
	checkWeights(e.source, spec)
	if s := spec.MaxBurstShare; s != nil {
		if s.Percent == nil {
			e.fault("spec.maxBurstShare.percent", "is required", "0 to 100")
		}
		e.count("spec.maxBurstShare.percent", s.Percent, 0, 100)
		e.oneOf("spec.maxBurstShare.of", s.Of, []string{"invocations", "gibSeconds"})
		e.duration("spec.maxBurstShare.window", s.Window, 60*second, 24*3600*second)
		e.count("spec.maxBurstShare.minimum", s.Minimum, 0, maxCount)
	}
	if h := spec.Hysteresis; h != nil {
		e.duration("spec.hysteresis.openAfter", h.OpenAfter, 0, 600*second)
		e.duration("spec.hysteresis.closeAfter", h.CloseAfter, 0, 3600*second)
		e.count("spec.hysteresis.closeBelow", h.CloseBelow, 1, 100)
	}
	checkSpend(e.source, spec.MaxBurstSpend)
	checkWindows(e.source, spec.Windows)
}

func checkWeights(s *source, spec *v1alpha1.BurstPolicySpec) {
	var total int64
	bad := false
	for _, pool := range sortedKeys(spec.Weights) {
		path := join("spec.weights", pool)
		n := spec.Weights[pool]
		if n < 0 || n > 1000 {
			s.fault(path, fmt.Sprintf("%d is out of range", n), "0 to 1000")
		} else if !slices.Contains(spec.Order, pool) {
			s.fault(path, quoteShort(pool)+" is not in the order of the policy", alternatives(spec.Order))
		}
		bad = bad || s.faulty(path)
		total += max(0, min(n, 1000))
	}
	if len(spec.Weights) > 0 && total == 0 && !bad {
		s.fault("spec.weights", "are all zero", "at least one above zero")
	}
}

func checkSpend(s *source, all []v1alpha1.BurstSpend) {
	budgets := make([]v1alpha1.Budget, len(all))
	for i, b := range all {
		budgets[i] = v1alpha1.Budget{Window: b.Window, Amount: b.Amount, Currency: b.Currency, TimeZone: b.TimeZone, AtLimit: "redirect"}
	}
	checkBudgets(s, "spec.maxBurstSpend", budgets)
}

// dayNames are the days of the week as people write them, from Monday on.
var dayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

const maxWindows = 64

func checkWindows(s *source, all []v1alpha1.BurstWindow) {
	if n := len(all); n > maxWindows {
		s.fault("spec.windows", fmt.Sprintf("has %d entries", n), fmt.Sprintf("at most %d", maxWindows))
		return
	}
	for i, w := range all {
		path := index("spec.windows", i)
		for j, day := range w.Days {
			s.oneOf(index(path+".days", j), day, dayNames)
		}
		from, fromOK := s.clock(path+".from", w.From, 24*60-1)
		to, toOK := s.clock(path+".to", w.To, 24*60)
		if fromOK && toOK && from == to {
			s.fault(path+".to", "is the beginning too", "another time; 00:00 to 24:00 is the whole day")
		}
		if _, err := zone(w.TimeZone); err != nil {
			s.fault(path+".timeZone", "unknown time zone "+quoteShort(w.TimeZone), "an IANA name such as UTC or Asia/Shanghai")
		}
	}
}

var clockForm = regexp.MustCompile(`^([01][0-9]|2[0-4]):([0-5][0-9])$`)

// clock reads HH:MM as minutes since midnight, up to most.
func (s *source) clock(path, text string, most int) (int, bool) {
	allowed := fmt.Sprintf("HH:MM up to %02d:%02d", most/60, most%60)
	parts := clockForm.FindStringSubmatch(text)
	switch {
	case text == "":
		s.fault(path, "is required", allowed)
		return 0, false
	case parts == nil:
		s.fault(path, quoteShort(text)+" is not a time of day", allowed)
		return 0, false
	}
	minutes := minutesOf(text)
	if minutes > most {
		s.fault(path, quoteShort(text)+" is out of range", allowed)
		return 0, false
	}
	return minutes, true
}

// minutesOf reads a time of day that was checked.
func minutesOf(text string) int {
	var h, m int
	_, _ = fmt.Sscanf(text, "%d:%d", &h, &m)
	return h*60 + m
}

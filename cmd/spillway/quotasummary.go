package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/billing"
)

const (
	billedMonth = 30 * 24 * time.Hour
	// leastForMonth is the least time whose cost says something of a month.
	leastForMonth = 24 * time.Hour
)

// quotaSummary is what a simulation found, in a line.
func quotaSummary(f *v1alpha1.QuotaSimulation) (string, error) {
	asked, err := outcomeText(f, &f.Asked)
	if err != nil {
		return "", err
	}
	present, err := outcomeText(f, &f.Present)
	if err != nil {
		return "", err
	}
	if asked == present {
		return asked + ", as with the present limits", nil
	}
	return asked + "; with the present limits: " + present, nil
}

func outcomeText(f *v1alpha1.QuotaSimulation, o *v1alpha1.QuotaOutcome) (string, error) {
	cost, err := burstText(string(o.BurstCost), f.Currency, time.Duration(f.Length))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("P95 wait %s, burst %s, %s overflow, %s refused", waitText(time.Duration(o.WaitP95)), cost,
		shareText(o.Overflow, o.Placed), shareText(o.Refused, o.Placed+o.Refused)), nil
}

// burstText is the cost of a time as that of 30 days, or as it is if the time is less
// than a day.
func burstText(exactly, currency string, length time.Duration) (string, error) {
	cost, err := billing.ParseAmount(exactly)
	if err != nil {
		return "", fmt.Errorf("sum up a simulation: %w", err)
	}
	if length < leastForMonth {
		text, err := moneyText(&cost)
		return fmt.Sprintf("%s %s in %s", text, currency, max(length, time.Second).Round(time.Second)), err
	}
	if _, err := exact.Mul(&cost, &cost, apd.New(billedMonth.Microseconds(), 0)); err != nil {
		return "", fmt.Errorf("sum up a simulation: %w", err)
	}
	if _, err := exact.Quo(&cost, &cost, apd.New(length.Microseconds(), 0)); err != nil {
		return "", fmt.Errorf("sum up a simulation: %w", err)
	}
	text, err := moneyText(&cost)
	return text + " " + currency + "/month", err
}

// moneyText writes an amount for people: to the hundredth below 1,000, else whole.
func moneyText(d *apd.Decimal) (string, error) {
	places := int32(-2)
	if d.Cmp(apd.New(1000, 0)) >= 0 {
		places = 0
	}
	var r apd.Decimal
	if _, err := exact.Quantize(&r, d, places); err != nil {
		return "", fmt.Errorf("round an amount: %w", err)
	}
	text := r.Text('f')
	if r.IsZero() {
		if d.Sign() > 0 {
			return "<0.01", nil
		}
		return "0", nil
	}
	whole, rest, _ := strings.Cut(text, ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole, nil
}

// waitText rounds up to what people tell apart.
func waitText(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < time.Millisecond:
		return "<1 ms"
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", (d+time.Millisecond-1)/time.Millisecond)
	}
	return ((d + time.Second - 1) / time.Second * time.Second).String()
}

// shareText is part of whole in tenths of a percent. Neither none nor all is said of
// what only rounds to it.
func shareText(part, whole int64) string {
	if part == 0 || whole == 0 {
		return "0 %"
	}
	tenths := (part*2000 + whole) / (2 * whole)
	switch {
	case tenths == 0:
		return "<0.1 %"
	case tenths == 1000 && part < whole:
		return ">99.9 %"
	case tenths%10 == 0:
		return fmt.Sprintf("%d %%", tenths/10)
	}
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

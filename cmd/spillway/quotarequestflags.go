package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// quotaLimitFlags are the limits that are asked for.
type quotaLimitFlags struct {
	onPrem, cloud    capacityFlags
	budgets          map[string]string
	currency, reason string
	until            string
}

type capacityFlags struct{ slots, cpu, memory string }

func (f *capacityFlags) flags(cmd *cobra.Command, side, what string) {
	cmd.Flags().StringVar(&f.slots, side+"-slots", "", "`calls` at once "+what)
	cmd.Flags().StringVar(&f.cpu, side+"-cpu", "", "`cores` at once "+what+", such as 2 or 500m")
	cmd.Flags().StringVar(&f.memory, side+"-memory", "", "`memory` at once "+what+", such as 4Gi")
}

// capacity is nil if no flag was given.
func (f *capacityFlags) capacity(side string) (*v1alpha1.Capacity, error) {
	c := v1alpha1.Capacity{}
	if f.slots != "" {
		n, err := strconv.ParseInt(f.slots, 10, 64)
		if err != nil {
			return nil, wrongInput("--%s-slots: %q is not a whole number", side, f.slots)
		}
		c.Slots = &n
	}
	if f.cpu != "" {
		c.CPU = new(v1alpha1.MilliCPU)
		if err := c.CPU.UnmarshalText([]byte(f.cpu)); err != nil {
			return nil, wrongInput("--%s-cpu: %q: %w; allowed: %s", side, f.cpu, err, c.CPU.Syntax())
		}
	}
	if f.memory != "" {
		c.Memory = new(v1alpha1.Bytes)
		if err := c.Memory.UnmarshalText([]byte(f.memory)); err != nil {
			return nil, wrongInput("--%s-memory: %q: %w; allowed: %s", side, f.memory, err, c.Memory.Syntax())
		}
	}
	if c == (v1alpha1.Capacity{}) {
		return nil, nil
	}
	return &c, nil
}

// spec is what the flags ask for.
func (f *quotaLimitFlags) spec(quota string) (s v1alpha1.QuotaRequestSpec, err error) {
	s.Quota, s.Reason = quota, f.reason
	if s.Nominal.OnPrem, err = f.onPrem.capacity("on-prem"); err != nil {
		return s, err
	}
	if s.Nominal.Cloud, err = f.cloud.capacity("cloud"); err != nil {
		return s, err
	}
	for _, window := range []string{"hour", "day", "month"} {
		text, ok := f.budgets[window]
		if !ok {
			continue
		}
		delete(f.budgets, window)
		b := v1alpha1.Budget{Window: window, Amount: new(v1alpha1.Amount), Currency: f.currency}
		if err := b.Amount.UnmarshalText([]byte(text)); err != nil {
			return s, wrongInput("--budget %s: %q: %w; allowed: %s", window, text, err, b.Amount.Syntax())
		}
		s.Budgets = append(s.Budgets, b)
	}
	for window := range f.budgets {
		return s, wrongInput("--budget: %q is not a window; allowed: hour, day, month", window)
	}
	if s.Nominal == (v1alpha1.Nominal{}) && len(s.Budgets) == 0 {
		return s, wrongInput("nothing is asked for; name at least one of --on-prem-slots, --cloud-slots, --budget and the like")
	}
	if f.currency != "" && len(s.Budgets) == 0 {
		return s, wrongInput("--currency is of a --budget; name one")
	}
	if f.until != "" {
		until, err := moment("--until", f.until)
		if err != nil {
			return s, err
		}
		s.Until = &until
	}
	if strings.TrimSpace(f.reason) == "" {
		return s, wrongInput("--reason is required: who decides wants to know what it is for")
	}
	return s, nil
}

// quotaCallsFlags are where the calls of a simulation come from.
type quotaCallsFlags struct {
	days  int
	trace string
}

func (f *quotaCallsFlags) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.days, "days", 0, fmt.Sprintf("`number` of days of the ledger to replay, up to %d (%d if not given)", maxTraceDays, defaultTraceDays))
	cmd.Flags().StringVar(&f.trace, "trace", "", "`file` with calls to replay in place of the ledger's, such as a usage export")
}

// open returns the trace, or nothing to read.
func (f *quotaCallsFlags) open() (io.ReadCloser, error) {
	switch {
	case f.days < 0 || f.days > maxTraceDays:
		return nil, wrongInput("--days: %d is out of range; allowed: 1 to %d", f.days, maxTraceDays)
	case f.trace == "":
		return http.NoBody, nil
	case f.days != 0:
		return nil, wrongInput("--days is of the ledger and --trace in its place; name one of them")
	}
	info, err := os.Stat(f.trace)
	if err != nil {
		return nil, wrongInput("--trace: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > maxTraceBody {
		return nil, wrongInput("--trace: %s is not a file with calls; allowed: one file of up to %d MiB", f.trace, maxTraceBody>>20)
	}
	file, err := os.Open(f.trace)
	if err != nil {
		return nil, wrongInput("--trace: %w", err)
	}
	return file, nil
}

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/internal/safetext"
)

func newValidate(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check a configuration and say what it means",
		Long: `Read the configuration directory DIR, or only the defaults without one, as 'up'
would, and start nothing. All faults are said at once, as
file:line:col: field: problem; allowed: … with exit code 2. Otherwise a summary
says what each function may use, what cannot burst and why, pools and quotas.

Use it before every change goes live, and in CI. -o yaml and -o json print the
whole configuration with every default filled in.`,
		Example: `  spillway validate examples/platform
  spillway validate examples/platform -o yaml    # with all defaults
  spillway validate                          # what 'spillway up' does by default`,
		Args: atMostOne("DIR"),
	}
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir := ""
		if len(args) == 1 {
			dir = args[0]
		}
		loaded, err := loadConfig(dir)
		if err != nil {
			return err
		}
		if _, err := authenticator(&loaded.Server); err != nil { // 'up' would find out
			return err
		}
		for _, w := range loaded.Warnings {
			fmt.Fprintln(s.err, "warning:", safetext.Line(w))
		}
		if output.value == "yaml" { // documents that can be loaded again
			text, err := loaded.Render("yaml")
			if err == nil {
				_, err = s.out.Write(text)
			}
			return err
		}
		return output.print(s.out, loaded.Effective(), func(w io.Writer) error { return printSummary(w, loaded) })
	}
	return cmd
}

// printSummary says what a configuration means.
func printSummary(w io.Writer, l *config.Loaded) error {
	p := l.Platform
	fmt.Fprintf(w, "configuration is good: %s, %s, %s; revision %s\n",
		counted(len(p.Functions), "function"), counted(len(p.Pools), "pool"), counted(len(p.Quotas), "quota"), p.Revision)
	for _, part := range [][][]string{functionRows(p), burstRows(p), poolRows(p), policyRows(p), quotaRows(p)} {
		if len(part) == 1 {
			continue
		}
		fmt.Fprintln(w)
		if err := table(w, part); err != nil {
			return err
		}
	}
	return nil
}

func functionRows(p *spillway.Platform) [][]string {
	rows := [][]string{{"FUNCTION", "REVISION", "PACKAGE", "MAY USE"}}
	for _, f := range p.Functions {
		revision := f.Revision
		if f.Weight != 100 {
			revision = fmt.Sprintf("%s %d%%", f.Revision, f.Weight)
		}
		rows = append(rows, []string{f.String(), revision, shortDigest(f.Package.Digest), poolNames(p, f)})
	}
	return rows
}

// burstRows say where each function may overflow.
func burstRows(p *spillway.Platform) [][]string {
	rows := [][]string{{"FUNCTION", "BURSTS"}}
	for _, f := range p.Functions {
		if p.Function(f.FunctionKey) == f {
			rows = append(rows, []string{f.String(), burstLine(p, f)})
		}
	}
	return rows
}

// burstLine says to which clouds f may overflow, or why to none.
func burstLine(p *spillway.Platform, f *spillway.Function) string {
	var open, shut []string
	for i, pool := range p.Pools {
		switch {
		case !pool.Kind.Cloud():
		case f.Permitted.Has(i):
			open = append(open, fmt.Sprintf("%s as %s, at most %s %s a call", pool.Name, f.Bindings[i].Name, f.Bindings[i].WorstCase, p.Currency))
		default:
			shut = append(shut, pool.Name+": "+exclusionText(f.Excluded[i]))
		}
	}
	switch {
	case len(open)+len(shut) == 0:
		return "no: there is no cloud pool"
	case len(open) == 0:
		return "no: " + strings.Join(shut, "; ")
	case p.Namespaces[f.Namespace].Quota < 0:
		return "no: no quota with a budget covers namespace " + f.FunctionKey.Namespace
	}
	return "to " + strings.Join(append(open, shut...), "; ")
}

// exclusionText says what to change so that a pool is not out.
func exclusionText(e spillway.Exclusion) string {
	switch e {
	case spillway.ExcludedMode:
		return "its burst policy's mode does not use this side"
	case spillway.ExcludedOrder:
		return "not in the order of its burst policy"
	case spillway.ExcludedBurst:
		return "spec.burst is deny"
	case spillway.ExcludedResidency:
		return "the pool's region is outside spec.residency"
	case spillway.ExcludedBinding:
		return "spec.cloud does not bind it"
	case spillway.ExcludedPrice:
		return "its price or exchange rate has ended; write the next one in the PriceBook"
	case spillway.ExcludedContract:
		return "a web function, and its binding has no payload: http-v2"
	case spillway.ExcludedTooLarge:
		return "one call is larger than the pool"
	case spillway.ExcludedRegion:
		return "the region is outside its burst policy"
	}
	return e.String()
}

// poolNames are the pools that f may use, most preferred first.
func poolNames(p *spillway.Platform, f *spillway.Function) string {
	var names []string
	for _, i := range p.BurstPolicies[f.Policy].Order {
		if f.Permitted.Has(i) {
			names = append(names, p.Pools[i].Name)
		}
	}
	if len(names) == 0 {
		return "nothing: every call is refused"
	}
	return strings.Join(names, ", ")
}

func poolRows(p *spillway.Platform) [][]string {
	rows := [][]string{{"POOL", "KIND", "REGION", "HOLDS", "PRICE"}}
	for _, pool := range p.Pools {
		holds := pool.Capacity.String()
		price := fmt.Sprintf("%s %s/h used or not (%s)", pool.HourlyNano, p.Currency, pool.PriceVersion)
		if pool.Kind == spillway.PoolOffline {
			holds, price = "what node "+pool.Node+" says it has", idlePrice(pool, p.Currency)
		}
		if pool.Kind.Cloud() {
			holds = atMost(pool.Limits)
			price = "per call (" + pool.PriceVersion + ")"
			if pool.PriceVersion == "" {
				price = "none holds now"
			}
		}
		rows = append(rows, []string{pool.Name, pool.Kind.String(), pool.Region, holds, price})
	}
	return rows
}

// idlePrice is what idle capacity costs where it is used.
func idlePrice(pool *spillway.Pool, currency string) string {
	const hour = 3_600_000
	core, err := pool.Rate.CeilNano(hour, spillway.Resources{MilliCPU: 1000})
	gib, err2 := pool.Rate.CeilNano(hour, spillway.Resources{MiB: 1024})
	if err != nil || err2 != nil {
		return "more than can be counted (" + pool.PriceVersion + ")"
	}
	return fmt.Sprintf("%s %s per core-hour, %s per GiB-hour (%s)", core, currency, gib, pool.PriceVersion)
}

// policyRows say how the calls of each burst policy may overflow.
func policyRows(p *spillway.Platform) [][]string {
	rows := [][]string{{"BURST POLICY", "MODE", "POOLS", "LIMITS"}}
	for i := range p.BurstPolicies {
		b := &p.BurstPolicies[i]
		var pools []string
		for _, at := range b.Order {
			name := p.Pools[at].Name
			if b.Weights != nil {
				name = fmt.Sprintf("%s:%d", name, b.Weights[at])
			}
			pools = append(pools, name)
		}
		rows = append(rows, []string{b.Name, b.Mode.String(), orDash(strings.Join(pools, " ")), orDash(strings.Join(burstLimits(b, p.Currency), ", "))})
	}
	return rows
}

// burstLimits names what bounds bursting, shortest words first.
func burstLimits(b *spillway.BurstPolicy, currency string) []string {
	var all []string
	add := func(set bool, format string, args ...any) {
		if set {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(b.KillSwitch, "KILL SWITCH ON")
	add(b.Shadow, "shadow mode")
	add(b.MaxBurstConcurrency != spillway.Unlimited, "%d at once", b.MaxBurstConcurrency)
	if s := b.Share; s != nil {
		add(true, "%d%% of %s in %s", s.Percent, s.Of, s.Window)
	}
	for _, s := range b.Spend {
		add(true, "%s %s per %s", s.Limit, currency, s.Window)
	}
	add(b.Hysteresis.OpenAfter > 0, "full for %s", b.Hysteresis.OpenAfter)
	add(len(b.Regions) > 0, "in %s", strings.Join(b.Regions, " "))
	add(len(b.Windows) > 0, "%s", counted(len(b.Windows), "window"))
	return all
}

func quotaRows(p *spillway.Platform) [][]string {
	rows := [][]string{{"QUOTA", "PARENT", "NAMESPACES", "ON-PREM", "OFFLINE", "CLOUD", "BUDGETS"}}
	for i, q := range p.Quotas {
		parent := "-"
		if q.Parent >= 0 {
			parent = p.Quotas[q.Parent].Name
		}
		var namespaces, budgets []string
		for _, ns := range p.Namespaces {
			if ns.Quota == i {
				namespaces = append(namespaces, ns.Name)
			}
		}
		for _, b := range q.Budgets {
			budgets = append(budgets, fmt.Sprintf("%s %s per %s", b.Limit, p.Currency, b.Window))
		}
		rows = append(rows, []string{q.Name, parent, orDash(strings.Join(namespaces, ", ")),
			limitsText(q.Nominal[spillway.ClassOnPrem]), limitsText(q.Nominal[spillway.ClassOffline]), limitsText(q.Nominal[spillway.ClassCloud]), orDash(strings.Join(budgets, ", "))})
	}
	return rows
}

// limitsText leaves out what is not limited.
func limitsText(r spillway.Resources) string {
	var parts []string
	for _, d := range []spillway.Dimension{spillway.DimSlots, spillway.DimMilliCPU, spillway.DimMiB} {
		if n := r.Of(d); n != spillway.Unlimited {
			parts = append(parts, fmt.Sprintf("%d %s", n, d))
		}
	}
	if len(parts) == 0 {
		return "not limited"
	}
	return strings.Join(parts, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// shortDigest is enough of a digest to tell packages apart by eye.
func shortDigest(d string) string {
	return d[:min(len(d), len("sha256:")+12)]
}

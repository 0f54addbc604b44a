package report

import (
	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator"
)

func (s *sheet) document() (*document, error) {
	doc := &document{
		Run:   s.runJSON(),
		Calls: callsJSON{All: s.Calls, Placed: s.Placed, Refused: s.Refused, Skipped: s.Skipped},
		Waits: spreadOf(s.Waits), Latency: spreadOf(s.Latency), ColdStarts: spreadOf(s.ColdStarts),
		Reasons: reasonsOf(s.Reasons), Pools: []poolJSON{}, Departments: []departmentJSON{}, Tenants: s.tenantsJSON(),
		Notes: s.notes(), Warnings: s.view.Meta.Warnings, Series: s.seriesJSON(),
	}
	if s.Skipped > 0 {
		doc.Calls.SkippedBecause = skippedBecause
	}
	var total apd.Decimal
	total.Set(&s.OwnedCost) // a copy would share its digits
	if err := add(&total, &s.CloudCost); err != nil {
		return nil, err
	}
	doc.Cost = costJSON{s.Platform.Currency, amount(&s.OwnedCost), amount(&s.CloudCost), amount(&total)}
	for i := range s.pools {
		doc.Pools = append(doc.Pools, s.pools[i].json(s.Warm))
	}
	for i := range s.departments {
		d := &s.departments[i]
		doc.Departments = append(doc.Departments, departmentJSON{d.name, d.namespaces, d.calls, d.refused, d.overflowed, d.inCloud,
			spreadOf(&d.waits), amount(&d.chargedExactly), amount(&d.cloudBillExactly), amount(&d.exactly)})
	}
	if s.view.Functions {
		doc.Functions = s.functionsJSON()
	}
	if o := s.view.Optimum; o != nil {
		doc.Optimum = &optimumJSON{o.GiB, o.Label}
	}
	return doc, nil
}

func (s *sheet) runJSON() runJSON {
	m := &s.view.Meta
	run := runJSON{
		Version: m.Version, Command: m.Command, Trace: m.Trace, Summary: m.Summary, Skipped: []skipJSON{},
		Start: s.Start.UTC(), LengthMicros: s.Length.Microseconds(), EndedMicros: s.Ended.Microseconds(),
		Platform: m.Platform, Configuration: s.Platform.Revision, Seed: m.Seed, Warm: s.Warm,
	}
	if !m.PricesAt.IsZero() {
		at := m.PricesAt.UTC()
		run.PricesAt = &at
	}
	for _, x := range m.Skipped {
		run.Skipped = append(run.Skipped, skipJSON{x.Reason, x.File, x.Line, x.Rows, x.Calls})
	}
	for i := range m.Models[:min(len(m.Models), len(s.pools))] {
		run.Models = append(run.Models, modelOf(s.pools[i].Name, &m.Models[i]))
	}
	return run
}

func modelOf(pool string, m *simulator.PoolModel) modelJSON {
	out := modelJSON{Pool: pool, Cold: []stepJSON{}, AddedMicros: m.Added.Microseconds(), IdleForMicros: m.IdleFor.Microseconds(),
		InitBilled: m.InitBilled, Outages: len(m.Away), CapacityChanges: len(m.Capacity)}
	for _, c := range m.Cold {
		out.Cold = append(out.Cold, stepJSON{c.Name, c.P50.Microseconds(), c.P99.Microseconds()})
	}
	return out
}

func (x *poolRow) json(warm bool) poolJSON {
	out := poolJSON{Pool: x.Name, Kind: x.Kind.String(), Region: x.Region, PriceVersion: x.PriceVersion, Usage: usageOf(&x.Usage), Peak: resourcesOf(x.Peak)}
	if x.Kind.Cloud() {
		return out
	}
	owned := amount(&x.Owned)
	out.Owned = &owned
	if !warm {
		out.Instances = &instancesJSON{x.Starts, x.HeldGiBHours, x.BusyGiBHours, x.ReclaimedMicros}
	}
	return out
}

// reasonsOf lists those that occurred, in the order of spillway.Reasons.
func reasonsOf(counts []int64) []reasonJSON {
	all := []reasonJSON{}
	for _, reason := range spillway.Reasons() {
		if int(reason) < len(counts) && counts[reason] != 0 {
			all = append(all, reasonJSON{reason, reason.Refusal(), counts[reason]})
		}
	}
	return all
}

// placesOf leaves out pools that had nothing to do with it.
func (s *sheet) placesOf(byPool []simulator.Usage) []placeJSON {
	all := []placeJSON{}
	for i := range byPool {
		u := &byPool[i]
		if u.Executed+u.Throttled+u.Lost+u.Reclaimed > 0 || !u.Cost.IsZero() {
			all = append(all, placeJSON{s.Platform.Pools[i].Name, usageOf(u)})
		}
	}
	return all
}

func (s *sheet) tenantsJSON() []tenantJSON {
	all := make([]tenantJSON, len(s.Tenants))
	for i := range s.Tenants {
		t, n := &s.Tenants[i], &s.Platform.Namespaces[i]
		all[i] = tenantJSON{n.Name, n.Department, t.Calls, t.Refused, reasonsOf(t.Reasons), spreadOf(t.Waits), s.placesOf(t.ByPool), amount(&t.Cost)}
	}
	return all
}

func (s *sheet) functionsJSON() []functionJSON {
	all := make([]functionJSON, len(s.Functions))
	for i := range s.Functions {
		f, r := s.Platform.Functions[i], &s.Functions[i]
		all[i] = functionJSON{f.FunctionKey.Namespace, f.Name, f.Revision, r.Calls, r.Refused, s.placesOf(r.ByPool)}
	}
	return all
}

func (s *sheet) seriesJSON() seriesJSON {
	out := seriesJSON{s.Step.Microseconds(), make([]pointJSON, len(s.Series))}
	for i := range s.Series {
		p := &s.Series[i]
		settled := billing.DecimalOf(p.Settled)
		out.Points[i] = pointJSON{p.Arrivals, p.Refused, p.Cold, p.Waiting, resourcesOf(p.Use[spillway.ClassOnPrem]), resourcesOf(p.Use[spillway.ClassCloud]), amount(&settled)}
	}
	return out
}

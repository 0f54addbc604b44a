package report

import (
	"cmp"
	"io"
	"time"

	"github.com/cockroachdb/apd/v3"
)

const topTenants = 15

// Table writes what changes for a terminal of 80 columns; a and b name the results.
func (d *Difference) Table(w io.Writer, a, b string) error {
	p := newPage(w)
	p.text("From A, %s, to B, %s", or(a, "the first"), or(b, "the second"))
	if d.Nothing() {
		p.line("Nothing changes: every tenant has the same calls, waits and cost.")
		d.besidePart(p)
		return p.end()
	}
	d.callPart(p)
	if err := d.moneyPart(p); err != nil {
		return err
	}
	if err := d.tenantPart(p); err != nil {
		return err
	}
	d.besidePart(p)
	return p.end()
}

// besidePart says what the figures do not hold for.
func (d *Difference) besidePart(p *page) {
	p.list("Warnings", d.warnings)
	var rows []string
	for i := range d.rows {
		rows = append(rows, skip(&d.rows[i]))
	}
	p.list("Not taken from the trace", rows)
}

func signed(n int64) string {
	if n > 0 {
		return "+" + count(n)
	}
	return count(n)
}

func (g *grid) change(name string, c change) { g.row(name, count(c[0]), count(c[1]), signed(c.by())) }

func (d *Difference) callPart(p *page) {
	p.section("Calls")
	g := grid{}
	g.row("", "A", "B", "change")
	g.change("all", d.calls)
	g.change("placed", d.placed)
	g.change("refused", d.refused)
	g.change("skipped", d.skipped)
	g.change("cold starts", d.cold)
	for i := range d.pools {
		g.change("executed by "+d.pools[i].name, d.pools[i].runs)
	}
	for _, r := range d.reasons {
		kind := "placed: "
		if r.Refusal() {
			kind = "refused: "
		}
		g.change(kind+r.String(), r.calls)
	}
	g.write(p)
	p.section("Waits and latency of placed calls")
	g = grid{}
	g.row("", "A", "B", "change")
	for _, x := range []struct {
		name string
		of   [2]spreadJSON
	}{{"wait", d.waits}, {"latency", d.latency}} {
		g.times(x.name+" P50", x.of[0].P50Micros, x.of[1].P50Micros)
		g.times(x.name+" P95", x.of[0].P95Micros, x.of[1].P95Micros)
		g.times(x.name+" P99", x.of[0].P99Micros, x.of[1].P99Micros)
		g.times(x.name+" max", x.of[0].MaxMicros, x.of[1].MaxMicros)
	}
	g.write(p)
}

func spanMicros(n int64) string { return span(time.Duration(n) * time.Microsecond) }

// later writes a difference of durations with its sign.
func later(n int64) string {
	if n > 0 {
		return "+" + spanMicros(n)
	}
	return spanMicros(n)
}

func (g *grid) times(name string, a, b int64) {
	g.row(name, spanMicros(a), spanMicros(b), later(b-a))
}

// roundedChange rounds the amounts of A and the changes so that both columns add up,
// and what does not change shows no change; B is their sum.
func roundedChange(all []amounts, places int) (rows [][3]apd.Decimal, total [3]apd.Decimal, err error) {
	before, by := make([]apd.Decimal, len(all)), make([]apd.Decimal, len(all))
	for i := range all {
		before[i] = all[i][0]
		if by[i], err = all[i].by(); err != nil {
			return nil, total, err
		}
	}
	if before, total[0], err = apportion(before, places); err != nil {
		return nil, total, err
	}
	if by, total[2], err = apportion(by, places); err != nil {
		return nil, total, err
	}
	rows = make([][3]apd.Decimal, len(all)+1)
	for i := range all {
		rows[i] = [3]apd.Decimal{0: before[i], 2: by[i]}
	}
	rows[len(all)] = total
	for i := range rows {
		for _, part := range []*apd.Decimal{&rows[i][0], &rows[i][2]} {
			if err := add(&rows[i][1], part); err != nil {
				return nil, total, err
			}
		}
	}
	return rows[:len(all)], rows[len(all)], nil
}

func (d *Difference) places() int {
	larger := &d.total[0]
	if larger.Cmp(&d.total[1]) < 0 {
		larger = &d.total[1]
	}
	return placesFor(larger)
}

func signedMoney(x apd.Decimal) string {
	if x.Sign() > 0 {
		return "+" + money(x)
	}
	return money(x)
}

func (d *Difference) moneyPart(p *page) error {
	rows, total, err := roundedChange([]amounts{d.owned, d.cloud}, d.places())
	if err != nil {
		return err
	}
	p.section("Cost in " + d.currency)
	g := grid{}
	g.row("", "A", "B", "change")
	for i, name := range []string{"owned", "cloud"} {
		g.row(name, money(rows[i][0]), money(rows[i][1]), signedMoney(rows[i][2]))
	}
	g.row("total", money(total[0]), money(total[1]), signedMoney(total[2]))
	g.write(p)
	return nil
}

// tenantPart lists the largest changes. Its amounts are what tenants are charged,
// without idle owned capacity.
func (d *Difference) tenantPart(p *page) error {
	if len(d.tenants) == 0 {
		p.section("No tenant sees a change.")
		return nil
	}
	p.section("Tenants, the largest change in cost first")
	all := make([]amounts, len(d.tenants))
	for i := range d.tenants {
		all[i] = d.tenants[i].cost
	}
	rows, _, err := roundedChange(all, d.places())
	if err != nil {
		return err
	}
	g := grid{}
	g.row("tenant", "calls", "refused", "moved", "wait P95", "change", d.currency, "change")
	for i := range d.tenants[:min(len(d.tenants), topTenants)] {
		t := &d.tenants[i]
		g.row(t.namespace, compact(t.calls[1]), signed(t.refused.by()), compact(t.movedBetween()), spanMicros(t.waits[1].P95Micros), later(t.waits[1].P95Micros-t.waits[0].P95Micros),
			money(rows[i][1]), signedMoney(rows[i][2]))
	}
	if more := d.tenants[min(len(d.tenants), topTenants):]; len(more) > 0 {
		if err := g.otherTenants(more, rows[topTenants:]); err != nil {
			return err
		}
	}
	g.write(p)
	p.item("Figures are those of B, with the change from A. Moved are executions that go to another pool.")
	for i := range d.tenants[:min(len(d.tenants), topTenants)] {
		if t := &d.tenants[i]; t.payer != "" {
			p.item(t.namespace + " is paid for by " + cmp.Or(t.department, t.namespace) + ", before by " + t.payer + ".")
		}
	}
	if d.unchanged > 0 {
		p.item("Nothing changes for " + plural(int64(d.unchanged), "other tenant.", "other tenants."))
	}
	return nil
}

// movedBetween is by how much pools gained executions that others lost.
func (t *tenantChange) movedBetween() int64 {
	var gained, lost int64
	for i := range t.pools {
		if by := t.pools[i].runs.by(); by > 0 {
			gained += by
		} else {
			lost -= by
		}
	}
	return min(gained, lost)
}

func (g *grid) otherTenants(more []tenantChange, rows [][3]apd.Decimal) error {
	var calls, refused, moved int64
	var cost, by apd.Decimal
	for i := range more {
		calls += more[i].calls[1]
		refused += more[i].refused.by()
		moved += more[i].movedBetween()
		for _, pair := range [][2]*apd.Decimal{{&cost, &rows[i][1]}, {&by, &rows[i][2]}} {
			if err := add(pair[0], pair[1]); err != nil {
				return err
			}
		}
	}
	g.row(plural(int64(len(more)), "other", "others"), compact(calls), signed(refused), compact(moved), "", "", money(cost), signedMoney(by))
	return nil
}

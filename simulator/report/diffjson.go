package report

import (
	"io"

	"github.com/spillway-dev/spillway"
)

// What Difference.JSON writes: counts and exact amounts as they are in A and in B.
type (
	diffJSON struct {
		A         string            `json:"a"`
		B         string            `json:"b"`
		Nothing   bool              `json:"nothingChanges"`
		Currency  string            `json:"currency"`
		Calls     map[string]change `json:"calls"`
		Cold      change            `json:"coldStarts"`
		Waits     [2]spreadJSON     `json:"waits"`
		Latency   [2]spreadJSON     `json:"latency"`
		Owned     costChangeJSON    `json:"ownedCost"`
		Cloud     costChangeJSON    `json:"cloudCost"`
		Total     costChangeJSON    `json:"totalCost"`
		Pools     []poolDiffJSON    `json:"pools"`
		Reasons   []reasonDiffJSON  `json:"reasons"`
		Tenants   []tenantDiffJSON  `json:"tenants"`
		Unchanged int               `json:"tenantsUnchanged"`
		Rows      []skipJSON        `json:"traceRowsSkipped"`
		Warnings  []string          `json:"warnings,omitempty"`
	}
	costChangeJSON struct {
		A  decimal `json:"a"`
		B  decimal `json:"b"`
		By decimal `json:"change"`
	}
	poolDiffJSON struct {
		Pool string         `json:"pool"`
		Runs change         `json:"executed"`
		Cold change         `json:"coldStarts"`
		Cost costChangeJSON `json:"cost"`
	}
	reasonDiffJSON struct {
		Reason  spillway.Reason `json:"reason"`
		Refusal bool            `json:"refusal"`
		Calls   change          `json:"calls"`
	}
	tenantDiffJSON struct {
		Namespace  string           `json:"namespace"`
		Department string           `json:"department,omitempty"`
		PaidBefore string           `json:"paidBefore,omitempty"` // by whom, where another department pays now
		Calls      change           `json:"calls"`
		Refused    change           `json:"refused"`
		Waits      [2]spreadJSON    `json:"waits"`
		Cost       costChangeJSON   `json:"cost"`
		Pools      []poolDiffJSON   `json:"pools"`
		Reasons    []reasonDiffJSON `json:"reasons"`
	}
)

// JSON writes all changes, all tenants with one among them; a and b name the results.
func (d *Difference) JSON(w io.Writer, a, b string) error {
	doc := diffJSON{A: a, B: b, Nothing: d.Nothing(), Currency: d.currency, Cold: d.cold, Waits: d.waits, Latency: d.latency,
		Calls:   map[string]change{"all": d.calls, "placed": d.placed, "refused": d.refused, "skipped": d.skipped},
		Reasons: reasonDiffs(d.reasons), Tenants: []tenantDiffJSON{}, Unchanged: d.unchanged, Rows: []skipJSON{}, Warnings: d.warnings}
	for _, x := range d.rows {
		doc.Rows = append(doc.Rows, skipJSON{x.Reason, x.File, x.Line, x.Rows, x.Calls})
	}
	var err error
	for _, x := range []struct {
		to *costChangeJSON
		of *amounts
	}{{&doc.Owned, &d.owned}, {&doc.Cloud, &d.cloud}, {&doc.Total, &d.total}} {
		if *x.to, err = x.of.json(); err != nil {
			return err
		}
	}
	if doc.Pools, err = poolDiffs(d.pools); err != nil {
		return err
	}
	for i := range d.tenants {
		t := &d.tenants[i]
		row := tenantDiffJSON{Namespace: t.namespace, Department: t.department, PaidBefore: t.payer, Calls: t.calls, Refused: t.refused, Waits: t.waits, Reasons: reasonDiffs(t.reasons)}
		if row.Cost, err = t.cost.json(); err != nil {
			return err
		}
		if row.Pools, err = poolDiffs(t.pools); err != nil {
			return err
		}
		doc.Tenants = append(doc.Tenants, row)
	}
	return writeJSON(w, doc)
}

func (a *amounts) json() (costChangeJSON, error) {
	by, err := a.by()
	return costChangeJSON{amount(&a[0]), amount(&a[1]), amount(&by)}, err
}

func poolDiffs(changes []poolChange) ([]poolDiffJSON, error) {
	all := []poolDiffJSON{}
	for i := range changes {
		p := &changes[i]
		cost, err := p.cost.json()
		if err != nil {
			return nil, err
		}
		all = append(all, poolDiffJSON{p.name, p.runs, p.cold, cost})
	}
	return all, nil
}

func reasonDiffs(changes []reasonChange) []reasonDiffJSON {
	all := []reasonDiffJSON{}
	for _, r := range changes {
		all = append(all, reasonDiffJSON{r.Reason, r.Refusal(), r.calls})
	}
	return all
}

package report

import (
	"cmp"
	"errors"
	"slices"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
)

// sheet is a result in the sums and rounded amounts that people see.
type sheet struct {
	*simulator.Result
	view        *View
	places      int
	runs, cold  int64     // executions and attempts without an answer
	pools       []poolRow // by pool index
	order       []int     // of pools where people see them: owned ones first
	placedBy    []reasonRow
	refusedBy   []reasonRow
	departments []department // dearest first
	// owned and cloud are sums of the pools; charged is what the rates of owned pools
	// put on departments, and idle the rest of owned.
	owned, cloud, total, charged, idle apd.Decimal
}

type poolRow struct {
	*spillway.Pool
	*simulator.PoolResult
	runs int64
	cost apd.Decimal // of an owned pool for the whole time
}

type reasonRow struct {
	spillway.Reason
	calls int64
}

func newSheet(v *View) (*sheet, error) {
	if v.Result == nil || v.Result.Platform == nil {
		return nil, errors.New("report: there is no result")
	}
	s := &sheet{Result: v.Result, view: v}
	s.reasons()
	if err := s.poolRows(); err != nil {
		return nil, err
	}
	if err := s.byDepartment(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *sheet) reasons() {
	for _, reason := range spillway.Reasons() {
		if int(reason) >= len(s.Reasons) || s.Reasons[reason] == 0 {
			continue
		}
		row := reasonRow{reason, s.Reasons[reason]}
		if reason.Refusal() {
			s.refusedBy = append(s.refusedBy, row)
		} else {
			s.placedBy = append(s.placedBy, row)
		}
	}
	most := func(a, b reasonRow) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.Reason, b.Reason))
	}
	slices.SortFunc(s.placedBy, most)
	slices.SortFunc(s.refusedBy, most)
}

// runsOf are the attempts that ran or may have run.
func runsOf(u *simulator.Usage) int64 { return u.Executed + u.Lost }

func (s *sheet) poolRows() error {
	var all apd.Decimal
	for i := range s.Pools {
		row := poolRow{Pool: s.Platform.Pools[i], PoolResult: &s.Pools[i], runs: runsOf(&s.Pools[i].Usage)}
		row.cost = row.Usage.Cost
		if !row.Kind.Cloud() {
			row.cost = row.Owned
		}
		s.runs += row.runs
		s.cold += row.Cold
		if err := add(&all, &row.cost); err != nil {
			return err
		}
		s.pools = append(s.pools, row)
	}
	for _, cloud := range []bool{false, true} {
		for i := range s.pools {
			if s.pools[i].Kind.Cloud() == cloud {
				s.order = append(s.order, i)
			}
		}
	}
	s.places = placesFor(&all)
	return s.roundPools()
}

// roundPools rounds owned pools and clouds apart, as both have a sum of their own.
func (s *sheet) roundPools() error {
	for _, cloud := range []bool{false, true} {
		var costs []apd.Decimal
		var at []int
		for i := range s.pools {
			if s.pools[i].Kind.Cloud() == cloud {
				costs, at = append(costs, s.pools[i].cost), append(at, i)
			}
		}
		rounded, sum, err := apportion(costs, s.places)
		if err != nil {
			return err
		}
		for i, d := range rounded {
			s.pools[at[i]].cost = d
		}
		if cloud {
			s.cloud = sum
		} else {
			s.owned = sum
		}
	}
	if err := add(&s.total, &s.owned); err != nil {
		return err
	}
	return add(&s.total, &s.cloud)
}

package dispatcher

import "github.com/spillway-dev/spillway"

// picks is the state of one function's weighted choices: smooth weighted round
// robin, in which every choice is as close to its share as it can be at any time.
// See nginx's ngx_http_upstream_round_robin, "smooth weighted round-robin".
type picks struct {
	pools     [spillway.MaxPools]int64
	revisions []int64
}

// choose returns the index with the largest credit after each has been given its
// weight, or -1 if no weight is positive. commit takes the choice.
func choose(credit []int64, weight func(i int) int64, commit bool) int {
	best, total, most := -1, int64(0), int64(0)
	for i := range credit {
		w := weight(i)
		if w <= 0 {
			continue
		}
		total += w
		if c := credit[i] + w; best < 0 || c > most {
			best, most = i, c
		}
		if commit {
			credit[i] += w
		}
	}
	if commit && best >= 0 {
		credit[best] -= total
	}
	return best
}

func (e *Engine) picksOf(f *spillway.Function) *picks {
	p := e.picks[f.FunctionKey]
	if p == nil {
		p = &picks{revisions: make([]int64, len(f.Revisions))}
		e.picks[f.FunctionKey] = p
	}
	return p
}

// Pick returns the revision of f that serves its next call, as its traffic is
// split; f is the leading one. It counts as that call's.
func (e *Engine) Pick(f *spillway.Function) *spillway.Function {
	if len(f.Revisions) == 0 {
		return f
	}
	p := e.picksOf(f)
	if len(p.revisions) != len(f.Revisions) {
		p.revisions = make([]int64, len(f.Revisions))
	}
	i := choose(p.revisions, func(i int) int64 { return f.Revisions[i].Weight }, true)
	if i < 0 {
		return f
	}
	return f.Revisions[i]
}

// firstPool returns the pool that the weights of f's burst policy choose for a
// call, or -1 to leave it to the order.
func (e *Engine) firstPool(f *spillway.Function, allowed spillway.PoolSet, commit bool) int {
	weights := e.platform.BurstPolicies[f.Policy].Weights
	if weights == nil {
		return -1
	}
	p := e.picksOf(f)
	return choose(p.pools[:], func(i int) int64 {
		if i >= len(weights) || !allowed.Has(i) {
			return 0
		}
		return weights[i]
	}, commit)
}

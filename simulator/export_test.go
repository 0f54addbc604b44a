package simulator

import "context"

// RunFetching is Run, reading ahead from so many calls at once and functions on.
func RunFetching(ctx context.Context, c Config, calls, functions int) (*Result, error) {
	r, err := newRun(ctx, c)
	if err != nil {
		return nil, err
	}
	r.fetching.manyCalls, r.fetching.manyFunctions = calls, functions
	for more := true; more && err == nil; {
		more, err = r.step()
	}
	if err != nil {
		return nil, err
	}
	return r.result()
}

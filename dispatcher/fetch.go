package dispatcher

import "github.com/spillway-dev/spillway"

// FetchCalls reads what Complete of these calls will read, so that it is in the
// processor's caches then: a driver that knows of several ends at once need not wait
// for memory once for each. It changes nothing, and what it returns means nothing.
func (e *Engine) FetchCalls(calls []Handle) (read int64) {
	for _, h := range calls {
		if r := e.record(h); r != nil {
			read += r.ask.Need.MiB + int64(r.timerAt)
		}
	}
	for _, h := range calls {
		if r := e.record(h); r != nil && r.on != nil {
			read += int64(r.on.since) + int64(r.on.calls)
		}
	}
	return read
}

// FetchFunctions is FetchCalls for calls of these functions that will be admitted.
func (e *Engine) FetchFunctions(functions []*spillway.Function) (read int64) {
	for _, f := range functions {
		read += f.Resources.MiB + int64(f.Policy) + int64(f.Deadline) + int64(len(f.Revisions))
	}
	for _, f := range functions {
		if f.Platform != e.platform {
			continue
		}
		read += e.tenantOf(f).inUse
		if leaf := e.platform.Namespaces[f.Namespace].Quota; leaf >= 0 {
			read += e.quota.Used(leaf, spillway.ClassOnPrem).Slots + e.quota.Headroom(leaf, spillway.ClassOnPrem).MiB
		}
		for _, s := range e.owned {
			fs := s.functions[f.Index]
			read += int64(fs.coming) + int64(fs.slot)
			if in := fs.idle; in != nil {
				read += int64(in.since) + int64(in.id)
			}
		}
	}
	return read
}

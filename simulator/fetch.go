package simulator

// fetch reads what the ends of calls will need. With many calls at once most of it is
// in no cache: read together, the reads of one call do not wait for those of another.
func (r *run) fetch(soon []event) {
	r.ending = r.ending[:0]
	var sum int64
	for i := range soon {
		if soon[i].kind != callEnds {
			continue
		}
		x := r.flights.at(soon[i].what)
		r.ending = append(r.ending, x.handle)
		a := &x.d.Attempts[0]
		sum += x.ending.billed + int64(x.d.Call.PayloadBytes) + int64(x.d.Deadline) + x.d.Limit.Max + int64(x.d.ShadowPool) + x.d.QuotaUsed.MiB +
			int64(x.d.Tries) + int64(a.Placed) + int64(a.Outcome.Class) + a.Outcome.Usage.BilledMillis + int64(a.Outcome.RetryAfter)
	}
	r.fetched += sum + r.engine.Fetch(r.ending)
}

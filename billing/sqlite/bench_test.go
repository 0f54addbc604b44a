package sqlite

import (
	"fmt"
	"testing"

	"github.com/spillway-dev/spillway/billing"
)

// BenchmarkWrite is the ledger writer's share of one on-prem call, in batches as a
// busy server makes them.
func BenchmarkWrite(b *testing.B) {
	s := open(b, temporary(b))
	batch := make([]billing.Entry, 200)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			n++
			batch[i] = full(fmt.Sprintf("0198c0de-0000-7000-8000-%012x", n))
			batch[i].Kind, batch[i].Cloud, batch[i].Settled = billing.KindCharge, false, 0
		}
		write(b, s, batch...)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/line")
}

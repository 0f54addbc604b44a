package ledger

import (
	"strconv"
	"testing"
)

// BenchmarkBeginPost is the hot path of an on-prem call. The move to the database
// runs beside it and is paid in ns/op as far as the cores allow.
func BenchmarkBeginPost(b *testing.B) {
	l := open(b, b.TempDir(), Options{})
	e := charge(b, entry("x", 1), 12)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		e.Invocation = "0193b2f0-0000-7000-8000-" + strconv.Itoa(1_000_000_000+i)
		if err := l.Reserve(); err != nil { // the database is behind: let it catch up
			b.StopTimer()
			must(b, l.Flush(b.Context()), l.Reserve())
			b.StartTimer()
		}
		must(b, l.Begin(e), l.Post(e))
		l.Release()
	}
}

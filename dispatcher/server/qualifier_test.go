package server_test

import (
	"testing"
	"testing/synctest"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

// TestJoinByQualifier: a request for one revision is not answered with what another
// has said, whatever its key. $LATEST is what no qualifier is.
func TestJoinByQualifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(smallPlatform + "function shop/two rev=v1\nfunction shop/two rev=v2 digest=d2")
		if err != nil {
			t.Fatal(err)
		}
		onprem := memory.New(memory.Options{})
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: memory.NewCloud(1, memory.Options{})}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer func() { s.Close(); onprem.Close() }()
		ids := map[string]string{}
		for _, qualifier := range []string{"", "v1", "v2", "$LATEST", "v2", "v1", ""} {
			a := ask("two", "{}")
			a.Qualifier, a.RequestKey = qualifier, "once"
			answer, err := s.Invoke(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			d := answer.Decision
			if v := d.Call.Function.Revision; qualifier > "v" && v != qualifier {
				t.Errorf("%s was asked for, %s answered", qualifier, v)
			}
			if before, ok := ids[qualifier]; ok && before != d.Call.ID {
				t.Errorf("%q became two calls", qualifier)
			}
			ids[qualifier] = d.Call.ID
		}
		if ids["$LATEST"] != ids[""] || ids["v1"] == ids["v2"] || ids["v1"] == ids[""] || len(onprem.Executions()) != 3 {
			t.Errorf("calls %v, %d executions", ids, len(onprem.Executions()))
		}
	})
}

package clouddrift_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/clouddrift"
)

func unlimited() spillway.Resources {
	return spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
}

func TestReservations(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*spillway.Platform)
		want   string
	}{
		"limited by the policy": {func(*spillway.Platform) {}, "east b 5 calls, canton b 640 MiB"},
		"by the pool": {func(p *spillway.Platform) {
			p.BurstPolicies[1].MaxBurstConcurrency = 9
		}, "east b 9 calls, canton b 1024 MiB"},
		"by the quota": {func(p *spillway.Platform) { p.Quotas[1].Nominal[spillway.ClassCloud].Slots = 2 }, "east b 2 calls, canton b 256 MiB"},
		"by what may be borrowed": {func(p *spillway.Platform) {
			p.Quotas[1].Nominal[spillway.ClassCloud].Slots, p.Quotas[1].Borrowing[spillway.ClassCloud].Slots = 2, 1
		}, "east b 3 calls, canton b 384 MiB"},
		"by a quota above, in memory": {func(p *spillway.Platform) { p.Quotas[0].Nominal[spillway.ClassCloud].MiB = 500 }, "east b 3 calls, canton b 384 MiB"},
		"kill switch":                 {func(p *spillway.Platform) { p.BurstPolicies[1].KillSwitch = true }, "east b 0 calls, canton b 0 MiB"},
		"no limit": {func(p *spillway.Platform) {
			p.BurstPolicies[1].MaxBurstConcurrency = spillway.Unlimited
		}, "east b none, canton b none"},
		"may not burst": {func(p *spillway.Platform) {
			p.Functions[1].Excluded[1], p.Functions[1].Excluded[2] = spillway.ExcludedBurst, spillway.ExcludedPrice
		}, "east b none, canton b 640 MiB"},
		"not asked for": {func(p *spillway.Platform) { p.BurstPolicies[1].Reserved = spillway.ReservedShow }, ""},
		"shared":        {func(p *spillway.Platform) { p.Functions[0].Bindings[1].Name = "b" }, "east b 5 calls shared with team/a, canton b 640 MiB"},
	} {
		p := platform()
		p.Namespaces = []spillway.Namespace{{Name: "team", Quota: 1}}
		p.Quotas = []spillway.QuotaNode{{Parent: -1}, {Parent: 0}}
		for i := range p.Quotas {
			p.Quotas[i].Nominal[spillway.ClassCloud] = unlimited()
		}
		p.BurstPolicies[1].Reserved = spillway.ReservedWrite
		p.Index()
		test.change(p)
		var got []string
		for _, r := range clouddrift.Reservations(p) {
			text := r.Pool.Name + " " + r.Name + " none"
			if r.Want != nil {
				text = fmt.Sprint(r.Pool.Name, " ", r.Name, " ", *r.Want, " ", clouddrift.Unit(r.Pool))
			}
			if len(r.Shared) > 0 {
				text += " shared with " + strings.Join(r.Shared, ", ")
			}
			got = append(got, text)
		}
		if text := strings.Join(got, ", "); text != test.want {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
}

func TestCompareReserved(t *testing.T) {
	for name, test := range map[string]struct {
		mode          spillway.ReservedMode
		reserve, is   *int64
		expects, says string
	}{
		"as written":     {spillway.ReservedWrite, reserved(5), reserved(5), "", ""},
		"changed":        {spillway.ReservedWrite, reserved(5), reserved(31), "5 calls at once", "31 calls at once"},
		"taken away":     {spillway.ReservedWrite, reserved(5), nil, "5 calls at once", "none"},
		"nothing to say": {spillway.ReservedWrite, nil, reserved(31), "", ""},
		"not looked at":  {spillway.ReservedOff, nil, reserved(0), "", ""},
	} {
		w, f := fixture()
		w.Mode, w.Reserve, f.Reserved = test.mode, test.reserve, test.is
		got := clouddrift.Compare(w, f)
		switch {
		case test.says == "" && len(got.Differences) > 0, test.says != "" && len(got.Differences) != 1:
			t.Errorf("%s: %+v", name, got)
		case test.says != "" && (got.Differences[0].Expected != test.expects || got.Differences[0].Found != test.says):
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDecide(t *testing.T) {
	n := reserved
	record := func(writing, written *int64) clouddrift.Record {
		return clouddrift.Record{Writing: writing, Written: written}
	}
	for name, test := range map[string]struct {
		want, found *int64
		record      clouddrift.Record
		restore     bool
		is          clouddrift.Step
	}{
		"the first":                                 {n(5), nil, record(nil, nil), false, clouddrift.Step{Do: clouddrift.Reserve, Record: record(n(5), nil)}},
		"as written":                                {n(5), n(5), record(nil, n(5)), false, clouddrift.Step{Record: record(nil, n(5))}},
		"another is wanted":                         {n(6), n(5), record(nil, n(5)), false, clouddrift.Step{Do: clouddrift.Reserve, Record: record(n(6), n(5))}},
		"another is wanted, over a change":          {n(6), n(7), record(nil, n(5)), false, clouddrift.Step{Do: clouddrift.Reserve, Record: record(n(6), n(5))}},
		"changed elsewhere":                         {n(5), n(7), record(nil, n(5)), false, clouddrift.Step{Record: record(nil, n(5)), Left: clouddrift.ChangedElsewhere}},
		"taken away elsewhere":                      {n(5), nil, record(nil, n(5)), false, clouddrift.Step{Record: record(nil, n(5)), Left: clouddrift.ChangedElsewhere}},
		"restored":                                  {n(5), n(7), record(nil, n(5)), true, clouddrift.Step{Do: clouddrift.Reserve, Record: record(n(5), n(5))}},
		"there before, restored":                    {n(5), n(7), record(nil, nil), true, clouddrift.Step{Left: clouddrift.NotOurs}},
		"there before":                              {n(5), n(7), record(nil, nil), false, clouddrift.Step{Left: clouddrift.NotOurs}},
		"there before, as wanted":                   {n(5), n(5), record(nil, nil), false, clouddrift.Step{}},
		"changed elsewhere, to what is wanted next": {n(6), n(6), record(nil, n(5)), false, clouddrift.Step{Record: record(nil, n(6))}},
		"arrived unheard":                           {n(5), n(5), record(n(5), nil), false, clouddrift.Step{Record: record(nil, n(5))}},
		"arrived unheard, others wanted":            {n(6), n(5), record(n(5), nil), false, clouddrift.Step{Do: clouddrift.Reserve, Record: record(n(6), n(5))}},
		"never arrived":                             {n(5), nil, record(n(5), nil), false, clouddrift.Step{Do: clouddrift.Reserve, Record: record(n(5), nil)}},
		"nothing wanted":                            {nil, n(5), record(nil, n(5)), false, clouddrift.Step{Do: clouddrift.Unreserve, Record: record(nil, n(5))}},
		"nothing wanted, arrived unheard":           {nil, n(5), record(n(5), nil), false, clouddrift.Step{Do: clouddrift.Unreserve, Record: record(nil, n(5))}},
		"nothing wanted, changed":                   {nil, n(7), record(nil, n(5)), false, clouddrift.Step{}},
		"nothing wanted, another's":                 {nil, n(7), record(nil, nil), false, clouddrift.Step{}},
		"the kill switch":                           {n(0), n(5), record(nil, n(5)), false, clouddrift.Step{Do: clouddrift.Reserve, Record: record(n(0), n(5))}},
	} {
		if got := clouddrift.Decide(test.want, test.found, test.record, test.restore); show(got) != show(test.is) {
			t.Errorf("%s: %s, want %s", name, show(got), show(test.is))
		}
	}
}

func show(s clouddrift.Step) string {
	text := func(n *int64) string {
		if n == nil {
			return "none"
		}
		return fmt.Sprint(*n)
	}
	return fmt.Sprintf("do %d, writing %s, written %s, left %q", s.Do, text(s.Record.Writing), text(s.Record.Written), s.Left)
}

// TestDecideNeverFights: whatever others put there in between, and whichever answers are
// lost, nothing of theirs is overwritten unless what is wanted has changed, and nothing is
// taken away that was not written.
func TestDecideNeverFights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.Custom(func(t *rapid.T) *int64 {
			if n := rapid.Int64Range(-1, 3).Draw(t, "n"); n >= 0 {
				return &n
			}
			return nil
		})
		var is, theirs *int64
		var record clouddrift.Record
		want := some.Draw(t, "want")
		changed, foreign := true, false
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				want, changed = some.Draw(t, "want"), true
			case 1:
				is = rapid.Custom(func(t *rapid.T) *int64 { n := rapid.Int64Range(10, 12).Draw(t, "theirs"); return &n }).Draw(t, "is")
				theirs, foreign = is, true
			default:
				step := clouddrift.Decide(want, is, record, false)
				if foreign && is == theirs && step.Do != clouddrift.Leave && (step.Do == clouddrift.Unreserve || !changed) {
					t.Fatalf("%s over another's", show(step))
				}
				record = step.Record
				if step.Do == clouddrift.Leave {
					break
				}
				if rapid.Bool().Draw(t, "arrives") {
					if is, foreign = nil, false; step.Do == clouddrift.Reserve {
						is = want
					}
				}
				if rapid.Bool().Draw(t, "is heard") && !foreign {
					if record = (clouddrift.Record{}); step.Do == clouddrift.Reserve && is == want {
						record.Written = want
					}
					changed = false
				}
			}
		}
	})
}

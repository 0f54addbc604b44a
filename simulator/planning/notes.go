package planning

import "fmt"

// notes are what a reader of the figures has to know.
func (f *Findings) notes() []string {
	all := []string{}
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	d, c := f.Demand, f.Case
	if d.Skipped > 0 {
		say("%s of functions that the configuration does not have are left out; --adopt takes them in.", counted(int(d.Skipped), "call"))
	}
	if d.CloudOnly > 0 {
		say("%s of functions that may not run on-prem are not planned.", counted(int(d.CloudOnly), "call"))
	}
	if d.Pinned > 0 {
		say("%s are of functions that no cloud may run. They are planned as if they could burst; where nodes are short they wait or are refused, as the replay shows.", counted(int(d.Pinned), "call"))
	}
	if d.Cut > 0 {
		say("%s ran longer than the timeout of their function and are cut there.", counted(int(d.Cut), "call"))
	}
	if c.Cloud.Mixed {
		say("Functions have several rates in %s; the plan counts the dearest for all, the replay each its own.", c.Cloud.Name)
	}
	if c.Cloud.Imposed && c.Cloud.Pool < 0 {
		say("The configuration has no cloud pool, so the replay cannot burst.")
	} else if c.Cloud.Imposed {
		say("The replay has the prices of %s in pool %s.", c.Cloud.Name, c.Run.Platform.Pools[c.Cloud.Pool].Name)
	}
	if f.Terms != "" && f.Result != nil {
		say("The replay prices bursts flat, without what %s says.", f.Terms)
	}
	if f.Whole {
		say("A node is the pool %s as a whole; --node-type says what a machine is.", f.Answer.Input.Nodes[0].Name)
		if pool := c.ownPool(); pool != nil && d.shortOf(pool.Capacity) {
			say("Pool %s has %s, fewer than calls fit into its memory and CPU. A plan counts memory and CPU alone; the replay keeps to the slots, too.", pool.Name, counted(int(pool.Capacity.Slots), "slot"))
		}
	}
	owned := 0
	for _, pool := range c.Run.Platform.Pools {
		if !pool.Kind.Cloud() && !pool.Retired {
			owned++
		}
	}
	if owned > 1 && f.Result != nil {
		say("The configuration has %d on-prem pools; the replay puts all nodes into the first of them.", owned)
	}
	if f.Result != nil && f.Result.Refused > 0 {
		say("The replay refuses calls: quotas, budgets or limits of the configuration stop bursts that the plan counts on, or calls may not burst.")
	}
	return all
}

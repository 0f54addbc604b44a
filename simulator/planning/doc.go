// Package planning answers the buying question for one trace: how many nodes to own,
// what the bursts beside them will cost, and what quota each team needs.
//
// Demand is measured by streaming the trace: every call is busy from its arrival for
// its execution, cut at the function's timeout, with the memory and CPU that its
// function has on the platform; as a burst it would be billed the memory of its
// binding. Calls that may not run on-prem are no part of it. Solve gives it to package
// planner. Verify replays the trace on the Engine with the planned nodes in place of
// the on-prem pools, and Quotas replays teams alone with one quota after another.
//
// Nothing here holds a clock or randomness of its own: the same Case and seed give the
// same answer.
package planning

// Package planner answers what to own and what to burst: how many nodes of which
// types, which prepaid packages, what the burst will cost, and what quota a team
// needs. It is pure arithmetic: no I/O, clock, goroutine or global randomness, and
// the same input gives the same answer.
//
// # Model
//
// A Series cuts time into steps of one length and says what was busy in each, as an
// integral (MiB-milliseconds, milliCPU-milliseconds), how many calls began, and
// what memory-time they would be billed as bursts. Owned nodes offer their memory
// and CPU in every step. Within a step demand is a fluid of one composition: when
// it does not fit, the share that overflows is
//
//	u = max(0, (memory − owned memory)/memory, (cpu − owned cpu)/cpu)
//
// of its calls and of its billed memory-time. A call needs both resources, so the
// scarcer one decides. Peaks shorter than a step are not seen: choose steps as long
// as calls may wait, or shorter. Packing loss is not seen either; give nodes what
// is allocatable and a target utilisation below one in it.
//
// Bursts are billed by months of 730 hours from the start of the series. A month
// that the series covers in part has that part of tiers, free calls, package fees
// and included quantities, so that a day of trace stands for a month of such days.
//
// Money is in Nano of one currency, prices in Femto. Every component is rounded up
// to the nano, overflow to the MiB-millisecond and the millionth of a call. Ratios
// are float64 and are for display.
package planner

// Package simulator replays a trace on the Engine that serves live calls and says
// what would have happened: where calls went, who waited, what was refused and
// why, and what it would have cost.
//
// Only the clock and the pools are replaced. Config.Platform is what `spillway up`
// compiles from the same files, dispatcher.New builds the same Engine from it, and
// verdicts come from the same Rego. Time is virtual: it jumps to the next event.
// Events of one instant are taken in the order
//
//  1. what ended or came about (completions, instances ready or stopped), in the
//     order in which it was scheduled;
//  2. what the Engine has to do by then (Engine.Next);
//  3. changes of pools (outages, capacity), in the order of Config;
//  4. arrivals, in the order of the trace.
//
// The same Config gives the same Result, to the last digit.
package simulator

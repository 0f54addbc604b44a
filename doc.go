// Package spillway is the vocabulary of the scheduler: functions, pools, quotas,
// calls, outcomes and money, as plain values that every other package shares.
//
// It imports the standard library only and does nothing by itself. Import rules
// run one way (see arch_test.go):
//
//	cmd → everything
//	simulator → dispatcher, billing
//	dispatcher → placement, policy, quota, billing, pools
//	everything → spillway → standard library
//
// The life of an invocation:
//
//	HTTP ─ auth ─ policy ─ Engine.Admit ─ pool ─ Engine.Complete ─ answer
//	                          │                        │
//	                     placement, quota        settle, ledger line
//
// A Platform is one immutable, compiled configuration: everything that was
// written in files, resolved to indices and integers. The config package
// compiles it; the Engine, the policy evaluator and the simulator read it.
package spillway

// Package cloud is a strict stand-in of the AWS Lambda data plane: a real HTTP
// server that speaks the documented Invoke API, so that overflow can be run,
// broken and billed without a cloud account.
//
//	POST invocations ─ signature ─ validation ─ fault? ─ limits ─ environment ─ bill ─ answer
//	                        │            │                  │
//	                       403          4xx                429
//
// It is independent of the scheduler on purpose: it checks signatures, enforces
// the account's limits and rates its own bill with its own arithmetic, so that
// what Spillway believes can be held against what a cloud would say.
//
// Supported: synchronous invocations (RequestResponse), DryRun, LogType Tail,
// qualifiers, client context, account settings. Asynchronous invocations and
// response streaming are refused by name.
package cloud

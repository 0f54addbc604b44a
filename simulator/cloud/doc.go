// Package cloud is a strict stand-in of a public cloud's data plane: a real HTTP
// server that speaks the documented API, so that overflow can be run, broken and
// billed without a cloud account. Config.Provider says which cloud.
//
//	POST ─ signature ─ validation ─ fault? ─ limits ─ environment ─ bill ─ answer
//	           │            │                  │
//	        refused      refused           throttled
//
// It is independent of the scheduler on purpose: it checks signatures, enforces
// the account's limits and rates its own bill with its own arithmetic, so that
// what Spillway believes can be held against what a cloud would say.
//
// AWS Lambda: the Invoke API with SigV4; synchronous invocations
// (RequestResponse), DryRun, LogType Tail, qualifiers, client context; reads of
// functions, their configuration, aliases and reservations, and of the account's
// settings, and PutFunctionConcurrency and DeleteFunctionConcurrency, at the control
// plane's 15 requests a second together; and FilterLogEvents of
// CloudWatch Logs, signed for that service, from the log group of each function
// that was executed, at 5 requests a second. Limits are calls in flight, request
// rate, and environments per function. A Command speaks the Lambda Runtime API.
// Asynchronous invocations and response streaming are refused by name.
//
// Tencent SCF: Invoke and InvokeFunction with TC3-HMAC-SHA256, synchronous, with
// LogType Tail, namespaces, qualifiers and routing keys (which route nothing: there
// are no weights); GetFunction, GetAlias, GetAccount, and Get-, Put- and
// DeleteReservedConcurrencyConfig; and SearchLog of the Cloud Log Service, signed for that service, from
// the topic of each function. Limits are MiB in flight and instances started in a
// minute. A Command is the bootstrap of a custom runtime. Other actions are refused
// by name.
// How a result looks that is over a limit, or whose function failed, is not
// documented to the letter: the stand-in writes the documented status and message.
package cloud

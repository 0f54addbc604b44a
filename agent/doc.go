// Package agent runs one function process and serves it the AWS Lambda Runtime
// API, version 2018-06-01, on a loopback port of its own, so that an unmodified
// Lambda binary runs here.
//
//	Start ── fork, exec ──► function ── GET next ──► ready
//	Invoke ── event ──► GET next answered ── POST response|error ──► GET next ──► Ending
//	Stop ── SIGKILL to the process group ──► reaped
//
// An invocation has ended when the function asks for the next event, as on
// Lambda: until then its process may still be working. A process that dies, or
// that is killed at the deadline, is reaped and its group is gone before Invoke
// returns.
//
// Every error that a function reports is FunctionUnhandled, as Lambda answers
// for today's runtimes; "Handled" belonged to a retired Node.js interface.
//
// The Runtime API has no authentication. When the function runs as a user of its
// own (Config.Credential), connections of any other user are dropped. When it
// shares the caller's user, every process of that user can reach the port.
//
// Functions are forked from one locked thread that lives as long as any of them:
// the kernel kills them when it dies, and it has given up setuid programs.
package agent

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
// A web function (Config.Web) has no Runtime API: it is any HTTP/1.1 server that
// listens on 127.0.0.1:$PORT. It is ready when it accepts a connection, and
// Exchange is its Invoke: one request at a time, written to and read from a kept
// connection on the caller's goroutine. The execution has ended when the answer
// has; what ends in any other way (broken off, cancelled, too late) ends the process.
//
//	kept connection ── rested ≤ 1 s, still open ──► request ── answer ──► kept
//	        └── closed before a byte of the request reached it ──► once more, on a new one
//
// Nothing else is ever sent twice. A connection is kept only if all of the request was
// sent and the answer has ended beyond doubt, and one that has carried a body only for
// the caller of that body: a function may have left it unread. PORT is below the ports of outgoing connections;
// before and after each connect the kernel is asked whose socket listens there, so
// that no other process can pose as the function: one of the instance's own user,
// or without one, of its session. Every process of the machine can connect to the
// function itself, past quotas and identity: a function that must not be reached so
// has to check X-Spillway-Caller and a secret of its own.
//
// Functions are forked from one locked thread that lives as long as any of them:
// the kernel kills them when it dies, and it has given up setuid programs.
package agent

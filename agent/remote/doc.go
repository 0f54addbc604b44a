// Package remote is the agent in a pod, and the client by which the dispatcher has it
// start a function and run its calls.
//
//	Client ── TLS 1.3, HTTP/1.1 ──► Server ── package agent ──► function
//
//	PUT    /v1/packages/sha256:…      a zip file, verified and unpacked; one in an agent's life
//	PUT    /v1/packages/…/packed/…    the same as the dispatcher has packed it
//	POST   /v1/start                  starts the function; once, also if that fails
//	POST   /v1/invoke                 an event; answered with the payload and how it ended
//	POST   /v1/web                    an HTTP request, in frames (frame.go)
//	GET    /v1/invocations/{ticket}   how a call ended, once it has
//	DELETE /v1/invocations/{ticket}   ends a call, or says that its caller has gone
//	GET    /v1/exit                   answered when the function has ended
//	POST   /v1/stop                   ends the function and the agent
//	GET    /v1/health
//
// The agent asks for a certificate of the dispatcher's CA, whose own certificate, which
// is no secret, is in its environment (AuthorityVariable). The agent's key is made when
// it starts and never leaves its memory. A client holds the agent to the key that it saw
// first, so that a pod that inherits the address of another is never given its calls.
//
// A function is executed once or not at all for a call. Every call has a ticket. An
// agent never runs a ticket twice, and one that it is asked about before it has come it
// never runs at all: so a client that has lost a connection knows, as soon as the agent
// can be asked, whether the call was executed and how that ended. The endings of the
// last 1,000 calls are kept, and 4 MiB of their answers. A connection that breaks does
// not end an execution; its deadline does, which the agent enforces, and DELETE.
//
// A package is known by the digest of its zip file, or of the directory in it. An agent
// that is sent the zip file verifies that itself. What comes packed (unpack.Pack) is
// quicker to unpack, and the agent unpacks it as it comes; it verifies that the bytes are
// those with the sum that the dispatcher names. That they were made from the zip file
// with the digest the dispatcher has verified: who holds its certificate can have an
// agent run anything in any case.
//
// Times travel as durations: clocks of nodes differ.
package remote

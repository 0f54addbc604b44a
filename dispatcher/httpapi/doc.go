// Package httpapi is the front door of the dispatcher and its admin port: it
// turns HTTP requests into authenticated server.Asks and answers them.
//
// Two APIs, both authenticated by package auth:
//
//	POST /namespaces/{ns}/2015-03-31/functions/{FunctionName}/invocations   Lambda Invoke
//	POST /namespaces/{ns}/functions/{name}/invoke                           plain JSON in, JSON out
//
// An AWS SDK with its endpoint set to http://host/namespaces/{ns} works as it is.
// FunctionName is a name, name:qualifier, 123456789012:function:name[:qualifier]
// or arn:aws:lambda:region:account:function:name[:qualifier]; region and account
// are not looked at. Both take Idempotency-Key and X-Spillway-Deadline (a Go
// duration, at most the function's own deadline). As at AWS, an empty payload
// reaches the function as {}.
//
//	                        Lambda API                        plain URL
//	executed                200                               200
//	function error          200 + X-Amz-Function-Error        502, the function's error as body,
//	                                                          X-Spillway-Function-Error
//	outcome unknown         200 + X-Amz-Function-Error,       504
//	                        errorType Spillway.OutcomeUnknown
//	answered, result gone   200, errorType Spillway.ResultGone 410
//	dry run                 204                               -
//	denied                  403 AccessDeniedException         403
//	budget_exceeded         402 Spillway.BudgetExceeded       402
//	deadline                408 Spillway.DeadlineExceeded     408
//	quota_exceeded,         429 TooManyRequestsException,     429
//	no_capacity             Reason and Retry-After
//	unavailable             503 ServiceUnavailable            503
//	not authenticated       403, type of auth.Error           401
//	nobody can judge now    503 ServiceUnavailable            503
//	unknown function        404 ResourceNotFoundException     404
//	key reused              422 Spillway.KeyReused            422
//
// All below /namespaces/{ns}/functions/{name}/ is a web function's own if {name} is
// one: any method but CONNECT, any query and body, and any path but those in which
// somebody may find a . or .. segment, however encoded, or a NUL.
//
//	request    Host as it came. Hop-by-hop fields, those that Connection lists,
//	           X-Spillway-*, names with an underscore, and the credentials
//	           (Authorization, X-Amz-Date, X-Amz-Security-Token, X-Amz-Content-Sha256)
//	           are removed. X-Forwarded-For, -Proto, -Host, -Prefix and
//	           X-Spillway-Caller are ours; Forwarded and X-Real-Ip are removed.
//	           A body of at most 32 KiB with a Content-Length is read before the call
//	           begins; any other streams, without a limit but the call's deadline.
//	           A signed one has at most 6 MiB: the signature covers it.
//	answer     the function's status, header less hop-by-hop and X-Spillway-*,
//	           trailers, 103 and other interim answers. One of at most 32 KiB that is
//	           complete at once leaves after its ledger line is in the journal; any
//	           other streams as it comes: its line is posted when it has ended, and
//	           a crash of this server leaves the begin, billed as an estimate.
//	no answer  502 and X-Spillway-Function-Error, 504 at the time limit; an answer that
//	           has begun is cut off (to HTTP/1.0 with a reset), so that the client
//	           sees that it is not whole
//	refusals   as on the plain URL; 501 for Upgrade (WebSocket) and CONNECT, h2c is
//	           not taken up
//
// A client that goes away ends the execution, and its process; one that has gone
// before its call starts has nothing run, or paid. Idempotency-Key is passed on and
// joins nothing: an answer that streams cannot be given twice.
//
// SDKs repeat 429 and 503 by themselves, so those are only said when nothing ran;
// they repeat none of the others. A plain refusal is {"error":{"reason","message",
// "limit","explanation"}}.
//
// Every answer carries X-Spillway-Reason; where there is a decision also
// X-Spillway-Invocation, X-Spillway-Pool ("-" if none) and X-Spillway-Decision.
package httpapi

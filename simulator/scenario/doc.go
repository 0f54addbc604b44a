// Package scenario makes the configuration of a simulation: from the directory that
// a server would run on, or from a default platform, and from the functions and
// tenants of a trace.
//
// Functions of the trace that the configuration has, by namespace and name, are
// those. Others are adopted below a Quota, if one is named:
//
//	namespace   the tenant as a DNS label (long hexadecimal hashes are shortened)
//	memory      of the trace, at least 1 MiB; 128 MiB if it has none
//	cpu         of the trace, else as AWS Lambda gives it: a core for 1,769 MiB; at least 100m
//	timeout     the longest execution of the trace, 3 s to 15 min, in whole seconds
//	burst       allow, with a binding in every cloud pool of the configuration
//
// The default platform is as many servers of the built-in price book (example-node:
// 62 cores, 250 GiB) as the trace fills on the mean, AWS Lambda in us-east-1 with a
// concurrency of twice the peak of the trace in whole thousands, and a Quota "company"
// with a budget of one million a month and one child for each tenant.
package scenario

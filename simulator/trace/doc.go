// Package trace reads, inspects and makes workload traces: who called which
// function when, and how long that took.
//
//	t, err := trace.Open(ctx, "path/of/a/file/or/directory", trace.Options{Seed: 1})
//	calls := make([]trace.Call, 4096)
//	for {
//		n, err := t.Next(calls) // in order of arrival; io.EOF at the end
//	}
//
// # Formats
//
// A format is recognised by the columns of a file's first line, never by its
// name. Files may be plain, gzip or zstd.
//
//   - azure2019: counts of calls per function and minute, with percentiles of
//     durations (ms) and of memory (MB) in files of their own beside them. Several
//     files of counts in a directory are days that follow each other in the order
//     of their names, numbers compared as numbers.
//   - invitro: the same columns with memory per function in place of per application.
//   - azure2021: a row a call with the time of its end; rows may be in any order.
//   - llm: arrivals of Azure's inference trace. Each file is one function.
//   - usage: a row a call, what `spillway usage export` writes; see Usage.
//   - huawei2023: a column a function, a row a second or minute. All its measures
//     have the same columns, so here alone the folder tells them apart.
//
// # From counts to calls
//
// Where a trace only counts calls per minute, SpreadEven puts a function's n
// calls of a minute 60/n seconds apart, shifted by a phase that each function keeps and
// that comes from the seed; SpreadRandom draws every call's place in the minute.
// Where it only has percentiles of durations, a call's duration is drawn from
// the piecewise linear inverse of the distribution through those points. A
// function without percentiles takes those of the median function of the trace (by
// median duration), or 600 ms where nothing is known of any; Inspect counts these.
//
// The same files, Options and build give the same calls, on every machine.
package trace

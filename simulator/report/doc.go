// Package report writes what a run of the simulator found: a summary for a
// terminal, JSON and CSV for programs, a page of HTML with plots that needs nothing
// but itself, and what changes between two runs.
//
// The same View gives the same bytes. JSON and CSV carry exact amounts. Amounts for
// people are rounded so that every column and every row of costs adds up: parts by
// billing.Apportion, totals as the sums of what is shown.
package report

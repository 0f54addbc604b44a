// Package idle says how much of a cluster's nodes is idle, and so how large the
// virtual node may say that it is.
//
// An Estimator is told of nodes, pods and usage as they change, and answers Look
// with the amounts to publish, each term of them, whether the reclaiming taint is
// wanted, and when to look again. Victims picks the guests that make room for
// online work. docs/offline-capacity.md has the formula and where it comes from.
//
// All of it is arithmetic on integers: no clock, no randomness, nothing concurrent.
// An Estimator is not safe for concurrent use.
package idle

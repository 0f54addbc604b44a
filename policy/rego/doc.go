// Package rego answers, with Rego policies, which pools may run a call. It is
// the only importer of OPA.
//
// A policy directory holds *.rego modules, *_test.rego tests and optionally one
// data.json or data.yaml. The modules are compiled with package library; without
// any, library's default policy applies. The contract for authors is in
// policy/library/README.md:
//
//	package spillway.placement
//	permit                                     the set of permitted pool names
//	deny contains {"pool": p, "reason": r}     taken from permit, with a reason
//
// Everything fails closed: a policy that is slow, undefined, of the wrong type or
// in error permits nothing and sets Verdict.Failed. A decision depends on the
// policy, the platform's pools and the Input only, so builtins that reach the
// network, are not deterministic or cannot be stopped are refused when loading.
//
//	Load → Bundle ─ Bind(platform) → Evaluator ─ Evaluate → *policy.Verdict
//	Source holds the current Evaluator and replaces it when files or pools change.
package rego

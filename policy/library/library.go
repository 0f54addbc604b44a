// Package library holds the Rego modules that are compiled together with every
// placement policy: reusable rules (package spillway.lib) and the policy that
// applies when there is no other (package spillway.placement).
package library

import "embed"

// Rules is the file of package spillway.lib; Placement is the default policy.
const (
	Rules     = "lib.rego"
	Placement = "placement.rego"
)

// Files holds the modules and their tests.
//
//go:embed *.rego
var Files embed.FS

package spillway.placement_test

import data.spillway.lib
import data.spillway.placement

call := {
	"namespace": "retail",
	"department": "sales",
	"function": "resize",
	"revision": "1",
	"caller": "ci",
	"dataClass": "public",
	"residency": [],
	"burst": "allow",
	"payloadKiB": 4,
	"minute": 1795300200,
}

permitted(change) := pools - denied(change) if {
	pools := placement.permit with data.spillway.pools as lib.example_pools
}

denied(change) := {entry.pool |
	some entry in placement.deny with input as object.union(call, change) with data.spillway.pools as lib.example_pools
}

test_every_pool_may_run_public_data if {
	permitted({}) == {"hall", "lambda-eu", "lambda-us"}
}

test_burst_deny_stays if permitted({"burst": "deny"}) == {"hall"}

test_unknown_burst_stays if permitted({"burst": ""}) == {"hall"}

test_restricted_stays if permitted({"dataClass": "restricted"}) == {"hall"}

test_confidential_stays if permitted({"dataClass": "Confidential"}) == {"hall"}

test_residency_excludes_other_regions if {
	permitted({"residency": ["eu-central-1"]}) == {"hall", "lambda-eu"}
}

test_residency_elsewhere_leaves_nothing if permitted({"residency": ["cn-north-1"]}) == set()

package spillway.placement_test

import data.spillway.lib
import data.spillway.placement

call := {"residency": [], "burst": "allow", "dataClass": "", "payloadKiB": 4}

denied(change) := {entry.pool |
	some entry in placement.deny with input as object.union(call, change)
		with data.spillway.pools as lib.example_pools
}

test_small_payloads_may_burst if denied({}) == set()

test_large_payloads_stay if denied({"payloadKiB": 2048}) == {"lambda-eu", "lambda-us"}

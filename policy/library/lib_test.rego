package spillway.lib_test

import data.spillway.lib

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
	"minute": 1795300200, # Saturday 2026-11-21 22:30 UTC
}

test_pools_are_split_by_cloud if {
	lib.pool_names == {"hall", "lambda-eu", "lambda-us"} with data.spillway.pools as lib.example_pools
	lib.cloud_pools == {"lambda-eu", "lambda-us"} with data.spillway.pools as lib.example_pools
	lib.premises_pools == {"hall"} with data.spillway.pools as lib.example_pools
}

test_empty_residency_permits_every_region if {
	lib.outside_residency == set() with input as call with data.spillway.pools as lib.example_pools
}

test_residency_names_regions if {
	eu := object.union(call, {"residency": ["eu-central-1", "eu-west-1"]})
	lib.outside_residency == {"lambda-us"} with input as eu with data.spillway.pools as lib.example_pools
}

test_confined_ignores_case if {
	secret := object.union(call, {"dataClass": "Restricted"})
	lib.confined({"restricted"}) with input as secret
	not lib.confined({"restricted"}) with input as call
}

test_payload_at_the_ceiling_passes if {
	lib.payload_over(2) with input as call
	not lib.payload_over(4) with input as call
}

test_daily_within_a_day if {
	lib.daily("UTC", "22:30", "22:31") with input as call
	not lib.daily("UTC", "22:31", "23:00") with input as call
	not lib.daily("UTC", "08:00", "22:30") with input as call
}

test_daily_across_midnight if {
	lib.daily("UTC", "22:00", "06:00") with input as call
	lib.daily("Asia/Tokyo", "22:00", "08:00") with input as call # 07:30 there
	lib.daily("UTC", "22:00", "00:00") with input as call
	not lib.daily("UTC", "23:00", "22:30") with input as call
}

test_weekly_follows_the_zone if {
	lib.weekly("UTC", {"Saturday"}) with input as call
	lib.weekly("Asia/Tokyo", {"Sunday"}) with input as call
	not lib.weekly("UTC", {"Sunday"}) with input as call
}

test_once_is_half_open if {
	lib.once("2026-11-21T22:30:00Z", "2026-11-22T02:00:00Z") with input as call
	not lib.once("2026-11-21T20:00:00Z", "2026-11-21T22:30:00Z") with input as call
}

test_minutes_since_midnight if {
	lib.minutes("00:00") == 0
	lib.minutes("23:59") == 1439
}

# Rules to build placement policies from. All read the call from `input` and the
# platform's pools from `data.spillway.pools`.
package spillway.lib

# Names of all pools, and of those in a public cloud or on the premises.
pool_names := {name | some name, _ in data.spillway.pools}

cloud_pools := {name | some name, pool in data.spillway.pools; pool.cloud}

premises_pools := pool_names - cloud_pools

# Pools in a region that the function's residency does not name. An empty
# residency permits every region.
outside_residency contains name if {
	count(input.residency) > 0
	some name, pool in data.spillway.pools
	not pool.region in input.residency
}

# The data is of one of these classes, in any letter case.
confined(classes) if {
	some class in classes
	lower(class) == lower(input.dataClass)
}

# The payload may be larger than ceiling KiB. Payloads are known rounded up to a
# power of two, so choose a power of two.
payload_over(ceiling) if input.payloadKiB > ceiling

# The call's minute is in [from, to), written "HH:MM", on the clock of zone (an
# IANA name such as "Europe/Berlin"). With from after to the window spans midnight.
daily(zone, from, to) if {
	minutes(from) <= minutes(to)
	at := minute_of_day(zone)
	at >= minutes(from)
	at < minutes(to)
}

daily(zone, from, to) if {
	minutes(from) > minutes(to)
	minute_of_day(zone) >= minutes(from)
}

daily(zone, from, to) if {
	minutes(from) > minutes(to)
	minute_of_day(zone) < minutes(to)
}

# The call's day in zone is one of days ("Monday" … "Sunday").
weekly(zone, days) if time.weekday([instant, zone]) in days

# The call's minute is in [from, to), both RFC 3339: a maintenance window.
once(from, to) if {
	instant >= time.parse_rfc3339_ns(from)
	instant < time.parse_rfc3339_ns(to)
}

# Admission of the call, cut to the minute, in nanoseconds since the epoch.
instant := input.minute * 1000000000

minute_of_day(zone) := (hour * 60) + minute if [hour, minute, _] := time.clock([instant, zone])

# Minutes since midnight of "HH:MM"; any other text is an error, so the policy
# fails and nothing is permitted.
minutes(text) := time.parse_ns("2006-01-02 15:04", concat(" ", ["1970-01-01", text])) / 60000000000

# What the default policy denies; a policy of one's own keeps it with
#   deny contains entry if some entry in lib.default_deny
default_deny contains {"pool": name, "reason": "the function may not burst"} if {
	input.burst != "allow"
	some name in cloud_pools
}

default_deny contains {"pool": name, "reason": reason} if {
	confined({"restricted", "confidential"})
	reason := sprintf("data of class %s may not leave the premises", [input.dataClass])
	some name in cloud_pools
}

default_deny contains {"pool": name, "reason": reason} if {
	some name in outside_residency
	reason := sprintf("region %q is outside the residency %s", [
		data.spillway.pools[name].region,
		concat(",", sort(input.residency)),
	])
}

# Pools for tests: with data.spillway.pools as lib.example_pools
example_pools := {
	"hall": {"kind": "process", "region": "eu-central-1", "cloud": false},
	"lambda-eu": {"kind": "lambda", "region": "eu-central-1", "cloud": true},
	"lambda-us": {"kind": "lambda", "region": "us-east-1", "cloud": true},
}

# Which pools may run a call. `spillway policy test examples/platform` tries it.
package spillway.placement

import data.spillway.lib

permit := lib.pool_names

deny contains entry if some entry in lib.default_deny

# Sending a large picture away costs more time than waiting for a place here.
deny contains {"pool": name, "reason": "payload over 1 MiB stays on the premises"} if {
	lib.payload_over(1024)
	some name in lib.cloud_pools
}
